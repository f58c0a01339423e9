"""What Python programs and the command line call; ``import qbench`` is its face."""
