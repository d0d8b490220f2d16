-- Before the snapshot of the transaction is taken, so that what is read next is final (protocol rules 17, 18).
LOCK TABLE {state};
