// Package seal keeps the content of runs encrypted in any store, and destroys it on
// purpose. [New] wraps a store; a runtime over what it returns seals what it records
// before it is hashed, so that the ledger is verified without a key.
//
// Every run has a data key of its own (AES-256-GCM). Data keys lie in the store in
// blocks, each wrapped by a key of [Keys], which is all that has to be kept secret: a key that
// is replaced is replaced by [Store.Rewrap] in the blocks alone. To destroy a run's data key
// is to destroy its content in every table, file and replica of the store: see [bide.Runtime.Shred].
//
// What is stored says where it belongs, under the authentication of the cipher: the record of a run does
// not open as another record, nor in another run. What stores query by stays plain: ids, kinds, status, times,
// names of workflows and nodes, keys of events and runs, labels, sessions, actors and reasons.
//
// [Store.Artifacts] does the same for blobs: each has a data key, in the same blocks.
//
// The package knows no store and no service that keeps keys.
package seal
