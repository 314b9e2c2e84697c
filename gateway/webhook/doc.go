// Package webhook tells others what happens to runs, and lets others say what happens to them.
//
// Out: a subscription names a URL and what it wants to hear of. Each message is a run of the workflow
// [WorkflowID]: it is created once, whichever server sees the event first, survives crashes, is tried
// again for about a day, and can be looked at and sent again. Messages are signed as the Standard
// Webhooks specification says (https://www.standardwebhooks.com).
//
// In: a hook has a URL here and a secret. A signed request to it becomes an event whose id comes from what was signed, so
// that a request sent again is one event.
//
// The package knows no operation of the gateway: who may subscribe is the gateway's to say.
package webhook
