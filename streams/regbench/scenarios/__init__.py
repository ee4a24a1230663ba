"""Named incidents, played as a collector would have shipped them."""
