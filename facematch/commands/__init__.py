"""What the commands of `facematch.cli` do beyond a call of the client."""
