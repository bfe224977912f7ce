"""Recall: which facts a model still says when it is asked, before and after relearning half."""
