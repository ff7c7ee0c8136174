"""What must be imported before it is known which package is called `flux`."""
