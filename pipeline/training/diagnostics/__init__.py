"""What the layers of a network do while it trains."""
