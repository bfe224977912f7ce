"""The sweep: all windows of all questions in one walk up the stack of layers."""
