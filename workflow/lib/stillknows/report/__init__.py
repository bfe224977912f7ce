"""report.html: the study on one page, from its tables, figures and texts alone."""
