"""The sweep: all windows of all questions while each layer of the host is read once."""
