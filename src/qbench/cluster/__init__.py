"""Other machines that code and score: what travels to them, what is done there, and who hands it out (by Dask)."""
