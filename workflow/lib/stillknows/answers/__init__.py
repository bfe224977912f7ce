"""What models answer: one way to generate; recall of facts; answers under patches; similarity."""
