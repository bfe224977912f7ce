"""One file for a reviewer, without what is private."""
