"""Sub-networks of one backbone, trained alike: what orders and predictions of parts are worth."""
