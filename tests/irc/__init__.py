"""What it takes to run the public suite progval/irctest against the server (see `run`)."""
