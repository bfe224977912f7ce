"""How often each score is wrong, from models that are known to know facts or never to have."""
