"""What the models say: greedy answers, under a patch too, held against the original's."""
