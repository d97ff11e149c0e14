"""The worker: takes jobs from the broker and brings each picture to its match set."""
