"""The benchmark suite: this chat beside its peers, in one run. See README.md."""
