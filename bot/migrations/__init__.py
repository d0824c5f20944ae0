"""How older ledgers become today's: one file per change in `versions`, run when a ledger is opened."""
