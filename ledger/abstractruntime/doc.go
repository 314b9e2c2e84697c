// Package abstractruntime reads what the Python project AbstractRuntime 0.4 keeps, a directory of JSON and JSONL
// files or a SQLite file, and converts it into an export of bide, which package transfer imports.
//
// Finished runs become history, record for record. A run that waits is converted with its wait open: answered,
// it goes on at the node that it would have gone on at, under a workflow of the same id. Each record
// carries the one that it was made of, unchanged, in the member "abstractruntime" of its data.
//
// What cannot be carried is in the [Report]. The package changes nothing where it reads.
package abstractruntime
