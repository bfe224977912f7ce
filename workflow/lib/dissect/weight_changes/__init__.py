"""What unlearning did to the weights: how far they moved, and where."""
