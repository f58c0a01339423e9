"""The report room: reads records and nothing else; shows them."""
