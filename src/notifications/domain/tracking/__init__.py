"""Who requested a pixel or a link: evidence, lists and rules. Pure."""
