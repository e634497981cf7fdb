//! Every bound of the server by name, with what happens beyond it.

use std::time::Duration;

/// Longest request body at the OAuth endpoints and the admin API: 413 beyond.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// Longest wait for a request body: the connection is answered with 408 and closed.
pub const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// Longest wait for a request's head.
pub const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// An idle connection is closed after this.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Connections one worker holds; further ones wait in the listen queue.
pub const MAX_CONNECTIONS_PER_WORKER: usize = 4096;
/// Requests of one class that are served at once, where nothing is configured: twice of what fills
/// a commit on a machine that is not slow. As many more wait.
pub const MAX_UNDER_WAY: usize = 256;
/// Revocations that are served at once, and other calls of the admin API. As many more wait.
pub const MAX_ENDING: usize = 64;
pub const MAX_ADMINISTERING: usize = 64;
/// Longest wait for a seat: 503 beyond. Whoever asked is told so long before it gives up.
pub const ADMISSION_WAIT: Duration = Duration::from_millis(500);
/// Parameters in one form: `invalid_request` beyond.
pub const MAX_PARAMETERS: usize = 64;
/// `resource` and `audience` values in one request: `invalid_target` beyond.
pub const MAX_TARGETS: usize = 8;

/// Longest life of an access token.
pub const MAX_TTL_SECONDS: i64 = 3600;
pub const DEFAULT_TTL_SECONDS: i64 = 300;
/// Clock difference tolerated between us and those whose tokens we read.
pub const LEEWAY_SECONDS: i64 = 60;
/// A client assertion may not live longer than this from now.
pub const MAX_ASSERTION_SECONDS: i64 = 300;
/// Secrets of one client that are valid at once, the old and the new while rotating: 409
/// for a third.
pub const MAX_VALID_SECRETS: usize = 2;
/// `jti` longer than this is refused.
pub const MAX_JTI_BYTES: usize = 256;

/// Life of a hold where nothing is said, and at most.
pub const DEFAULT_HOLD_SECONDS: i64 = 60;
pub const MAX_HOLD_SECONDS: i64 = 3600;
/// What a service has not spent of a carved amount comes back this long after the token's
/// `exp`: every clock and every leeway of the service is past it by then.
pub const CARVE_RETURN_SECONDS: i64 = 120;
/// An `Idempotency-Key` longer than this is refused.
pub const MAX_IDEMPOTENCY_KEY_BYTES: usize = 255;
/// How long an `Idempotency-Key` is remembered: a day.
pub const IDEMPOTENCY_SECONDS: i64 = 86_400;

/// How long people have for an answer where the client says nothing, and at most: no longer than
/// the subject token lives.
pub const DEFAULT_APPROVAL_SECONDS: i64 = 300;
pub const MAX_APPROVAL_SECONDS: i64 = 3600;
/// How long a client waits between two polls, at first, and how much longer after each
/// `slow_down` (OpenID CIBA Core section 11, RFC 8628 section 3.5).
pub const POLL_INTERVAL_SECONDS: i64 = 5;
pub const SLOW_DOWN_SECONDS: i64 = 5;
/// A `binding_message` longer than this is refused, in bytes.
pub const MAX_BINDING_MESSAGE_BYTES: usize = 256;
/// Requests for approvals that one client has open: 429 beyond.
pub const MAX_OPEN_APPROVALS_OF_CLIENT: usize = 16;
/// Those that concern one owner: 429 beyond.
pub const MAX_OPEN_APPROVALS_OF_OWNER: usize = 256;

/// Cached clients, resources and rule sets each; beyond, the least used goes.
pub const MAX_CACHED_RECORDS: u64 = 20_000;
/// Verified token signatures remembered.
pub const MAX_CACHED_TOKENS: u64 = 10_000;
/// Keys of DPoP proofs kept ready to verify.
pub const MAX_CACHED_PROOF_KEYS: u64 = 10_000;
/// Recent changes remembered for judging cached records; beyond, all are reloaded.
pub const MAX_RECENT_CHANGES: usize = 16_384;
/// A decision overtaken by a change is made again this often, then 503.
pub const MAX_DECISIONS: usize = 4;
/// Age of the view beyond which an answer that commits nothing must ask the database.
pub const MAX_STALENESS: Duration = Duration::from_secs(1);
/// Longest remaining life of an assertion that a workload's platform made: what clusters give at
/// most without being asked for more.
pub const MAX_FEDERATED_ASSERTION_SECONDS: i64 = 86_400;
/// Record loads under way at once; further ones wait.
pub const MAX_CONCURRENT_LOADS: usize = 64;

/// Failed authentications of one client from one source within a minute, on all nodes together,
/// before that pair must wait; a secret proved earlier keeps working.
pub const MAX_FAILURES_PER_MINUTE: u32 = 20;
/// Those from one source, whatever clients they claimed.
pub const MAX_SOURCE_FAILURES_PER_MINUTE: u32 = 200;
/// Pairs of client and source, and sources, whose failures a node counts by itself.
pub const MAX_FAILURE_PAIRS: u64 = 50_000;
/// How long it is known of a secret that it was proved, after the last time it was noted, and how
/// often it is noted.
pub const PROVED_SECONDS: i64 = 7 * 86_400;
pub const PROVED_NOTED_SECONDS: i64 = 86_400;
/// Questions at once whether a secret was proved, by those who are held up; further ones wait.
pub const MAX_PROVED_QUESTIONS: usize = 16;

/// Limited clients and owners that a node knows at once; beyond, the least used is asked for anew.
pub const MAX_RATE_KEYS: u64 = 50_000;
/// Longest that a node keeps cells that it took and did not use.
pub const MAX_LEASE_MICROS: i64 = 1_000_000;

/// Longest wait for a connection to Redis, with its handshake.
pub const REDIS_CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// Longest wait for an answer of Redis: whoever waited so long goes on without, and so do all
/// others until it answers again.
pub const REDIS_RESPONSE_TIMEOUT: Duration = Duration::from_millis(200);
/// Commands to Redis under way at once; further ones wait within the same time.
pub const REDIS_IN_FLIGHT: usize = 512;
/// Refusals of Redis one after the other before it is left alone; a timeout or a lost connection
/// is enough.
pub const REDIS_FAULTS: u32 = 3;
/// First pause before it is tried again, and the longest: each is twice the one before, and up to
/// a quarter longer, so that nodes don't come back together.
pub const REDIS_FIRST_PAUSE: Duration = Duration::from_millis(250);
pub const REDIS_LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long it must have answered before the pauses begin small again.
pub const REDIS_STABLE: Duration = Duration::from_secs(10);
/// How often it is asked whether it is there.
pub const REDIS_PING_EVERY: Duration = Duration::from_secs(1);
/// Shortest time between two looks at the change feed that a channel caused.
pub const WAKE_GAP: Duration = Duration::from_millis(10);

/// Distinct refusals before authentication gathered in one second; beyond, they
/// share one record.
pub const MAX_GATHERED: usize = 1024;

/// What a client is told to wait, in seconds, with a 503 or 429.
pub const RETRY_AFTER_SECONDS: u32 = 1;
/// `Cache-Control: max-age` of the JWKS and the metadata, in seconds.
pub const JWKS_MAX_AGE_SECONDS: i64 = 300;
/// A node whose clock is further off the database's is not ready.
pub const MAX_CLOCK_SKEW_SECONDS: i64 = 30;
/// How long a graceful stop waits for requests under way.
pub const SHUTDOWN_SECONDS: u64 = 15;

/// Tokens in one status list: at two bits each it is 2 KiB, and signed at most 5.
pub const STATUS_LIST_PLACES: u16 = 8192;
/// How long a node gives out places in one list: the list is over one token life later.
pub const STATUS_LIST_OPEN_SECONDS: i64 = 600;
/// How long a service may go on with a status list before it asks again.
pub const STATUS_LIST_TTL_SECONDS: i64 = 5;
/// A signed status list is not to be relied on after this.
pub const STATUS_LIST_LIFE_SECONDS: i64 = 300;
/// A status list that has not changed is signed again after this.
pub const STATUS_LIST_RESIGN_SECONDS: i64 = 5;
/// Status lists kept in memory, 10 KiB each at most; beyond, the least used goes.
pub const MAX_CACHED_STATUS_LISTS: u64 = 512;
/// Status lists made at once; further ones wait.
pub const MAX_STATUS_BUILDS: usize = 4;

/// How long a security event waits for its receiver: a day.
pub const SIGNAL_KEPT_SECONDS: i64 = 86_400;
/// Events that wait for one stream before it can ask for no more verification; the janitor
/// removes the oldest beyond.
pub const MAX_SIGNALS_WAITING: i64 = 10_000;
/// Events that one revocation causes, over all streams; the rest is not told.
pub const MAX_SIGNALS_PER_WORK: usize = 1000;
/// How coarsely it is noted until when there are tokens at an audience: an hour's share a row.
pub const REACH_GRAIN_SECONDS: i64 = 3600;
/// How often a node looks for budgets that were used up.
pub const EXHAUSTIONS_EVERY: Duration = Duration::from_millis(500);
/// Clients of an owner whose end is told when the owner is disabled.
pub const SIGNAL_OWNER_CLIENTS: i64 = 200;
/// Events in one answer to a poll.
pub const MAX_POLLED_EVENTS: i64 = 100;
/// How long a poll waits for an event, and how often it looks.
pub const LONG_POLL_FOR: Duration = Duration::from_secs(20);
pub const LONG_POLL_EVERY: Duration = Duration::from_millis(500);
/// Polls that wait at once; further ones are answered immediately.
pub const MAX_LONG_POLLS: usize = 256;
/// How often a node looks for events to push.
pub const PUSH_EVERY: Duration = Duration::from_millis(500);
/// Events pushed at once by a node.
pub const PUSHES_AT_ONCE: usize = 16;
/// Longest wait for a receiver's answer.
pub const PUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an event is left to the node that tries to push it.
pub const PUSH_CLAIM_SECONDS: i64 = 30;
/// Longest pause between two tries; the first is two seconds, and each is twice the one before.
pub const PUSH_MAX_PAUSE_SECONDS: i64 = 300;
/// Tries of one event before its stream is paused: some ten minutes.
pub const MAX_PUSH_TRIES: i64 = 9;
/// How often events of a paused stream are looked at.
pub const PUSH_PAUSED_LOOK_SECONDS: i64 = 30;

/// Active sinks of the audit are looked at, and the audit's growth with them, this often.
pub const AUDIT_LOOK_EVERY: Duration = Duration::from_millis(500);
/// Records of the audit that one request to a sink carries; the rest waits for the next.
pub const MAX_AUDIT_BATCH_RECORDS: i64 = 200;
/// Bytes of records, as they were hashed, that one request to a sink carries; a longer record goes alone.
pub const MAX_AUDIT_BATCH_BYTES: usize = 256 * 1024;
/// Chains that one read of what is new goes into; the rest waits for the next.
pub const AUDIT_CHAINS_AT_ONCE: usize = 16;
/// Batches that one node sends to a sink before it looks again whether it may.
pub const AUDIT_BATCHES_PER_TURN: usize = 64;
/// Sinks that one node delivers to at once; others wait.
pub const AUDIT_SINKS_AT_ONCE: usize = 16;
/// A sink that has not answered by then has failed this time. Much less than the lease.
pub const AUDIT_SINK_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a node keeps a sink's delivery to itself; after its death another goes on. Microseconds.
pub const AUDIT_LEASE_MICROS: i64 = 10_000_000;
/// A lease older than this is renewed before anything is sent under it.
pub const AUDIT_LEASE_FRESH: Duration = Duration::from_secs(2);
/// Longest pause between two tries of a batch, in seconds, but for its jitter of a quarter.
pub const AUDIT_MAX_PAUSE_SECONDS: i64 = 300;
/// Oldest record that a sink may lack before `/readyz` says so, in seconds.
pub const AUDIT_BEHIND_SECONDS: i64 = 300;
/// How often it is looked how far sinks are behind.
pub const AUDIT_LAG_EVERY: Duration = Duration::from_secs(5);
/// Sinks of one owner, and of the deployment; one more is refused.
pub const MAX_AUDIT_SINKS_OF_OWNER: usize = 16;
/// Sinks of all owners together; one more is refused.
pub const MAX_AUDIT_SINKS: usize = 256;
/// Events that a sink's filter names.
pub const MAX_AUDIT_FILTER_EVENTS: usize = 64;

/// Followers of the audit on one node, and of one caller among them; one more is refused.
pub const MAX_AUDIT_FOLLOWERS: usize = 64;
pub const MAX_AUDIT_FOLLOWERS_OF_CALLER: usize = 4;
/// How often a follower hears that it is still connected, where nothing happens.
pub const AUDIT_HEARTBEAT: Duration = Duration::from_secs(15);
/// How often it is looked whether a follower still may.
pub const AUDIT_RECHECK_EVERY: Duration = Duration::from_millis(500);
/// A follower that takes nothing for so long is disconnected; it goes on from its cursor.
pub const AUDIT_SLOW_READER: Duration = Duration::from_secs(10);
/// How late after its time a record may become visible for cursors to be exact, in microseconds.
pub const AUDIT_SETTLE_MICROS: i64 = 300_000_000;
/// Chains that one cursor names; a follower with more of them behind is sent away.
pub const MAX_CURSOR_CHAINS: usize = 128;
/// Longest cursor of a follower, as it is sent.
pub const MAX_STREAM_CURSOR_BYTES: usize = 10 * 1024;

/// How often it is looked whether records are older than they are to be kept.
pub const AUDIT_PRUNE_EVERY: Duration = Duration::from_secs(600);
/// Chains that are cut in one round; others in the next.
pub const MAX_PRUNED_CHAINS: usize = 64;
/// Statements that remove records in one round, of 5,000 records each; the rest goes in the next.
pub const MAX_PRUNE_BATCHES: usize = 200;
/// Records that one request redacts.
pub const MAX_REDACTED_RECORDS: usize = 100;
/// Texts that one request takes out, and the shortest of them: a shorter one would be everywhere.
pub const MAX_REDACTED_VALUES: usize = 16;
pub const MIN_REDACTED_VALUE_BYTES: usize = 4;

/// Longest metadata document of a client.
pub const MAX_DOCUMENT_BYTES: usize = 5 * 1024;
/// Deepest nesting of one.
pub const MAX_DOCUMENT_DEPTH: usize = 6;
/// Longest `client_name` of one, in bytes.
pub const MAX_DOCUMENT_NAME_BYTES: usize = 200;
/// Longest URL of one, and the most segments of its path.
pub const MAX_DOCUMENT_URL_BYTES: usize = 512;
pub const MAX_DOCUMENT_URL_SEGMENTS: usize = 16;
/// How long a metadata document counts after it was read: what its answer says, within these
/// bounds, and the middle one where that says nothing.
pub const MIN_DOCUMENT_SECONDS: i64 = 60;
pub const DEFAULT_DOCUMENT_SECONDS: i64 = 300;
pub const MAX_DOCUMENT_SECONDS: i64 = 3600;
/// Metadata documents kept in memory; beyond, the least used goes.
pub const MAX_CACHED_DOCUMENTS: u64 = 4096;
/// Tries of one document: so many at once, and then one in so many seconds.
pub const DOCUMENT_TRIES: i64 = 5;
pub const DOCUMENT_TRY_SECONDS: i64 = 10;
/// Documents of one host that are no client's yet, likewise, and of all hosts together.
pub const NEW_DOCUMENTS_OF_HOST: i64 = 8;
pub const NEW_DOCUMENT_OF_HOST_SECONDS: i64 = 3;
pub const NEW_DOCUMENTS: i64 = 32;
pub const NEW_DOCUMENT_SECONDS: i64 = 1;
/// Documents that are fetched at once: of one host, further ones wait; on a node, 503 beyond.
/// Fewer than all fetches of a node, so that keys of issuers are still to be had.
pub const DOCUMENTS_OF_HOST_AT_ONCE: usize = 4;
pub const DOCUMENTS_AT_ONCE: usize = 32;
/// Requests that wait for documents of one host: 503 beyond.
pub const MAX_WAITING_FOR_HOST: usize = 256;
/// Entries by which one owner admits documents, and all owners: 409 beyond.
pub const MAX_CLIENT_DOCUMENTS: usize = 64;
pub const MAX_ALL_CLIENT_DOCUMENTS: usize = 4096;
/// Clients of one entry.
pub const MAX_DOCUMENT_CLIENTS: i64 = 250;

/// Opened values of custodied credentials kept in memory, for a minute at most.
pub const MAX_OPENED_VALUES: u64 = 1000;
/// How long a wrapped reference can be turned into its value.
pub const WRAP_SECONDS: i64 = 120;
/// Grants whose uses are gathered before they are written; beyond, the write is made at once.
pub const MAX_GATHERED_USES: usize = 10_000;
/// A hold for a call through the proxy: longer than any call may take. When it runs out, its
/// node has died.
pub const PROXY_HOLD_SECONDS: i64 = 660;
/// Request bodies that are kept whole at the same time, all together, in units: 503 beyond.
pub const BUFFERED_BODY_UNITS: usize = 4096;
/// One unit, in bytes: 256 MiB in all.
pub const BUFFERED_BODY_UNIT: u64 = 64 * 1024;
/// Longest wait for a body that is kept whole.
pub const BUFFERED_BODY_DEADLINE: Duration = Duration::from_secs(60);

/// Longest text of one policy: 400 beyond.
pub const MAX_POLICY_BYTES: usize = 16 * 1024;
/// Statements of one policy.
pub const MAX_POLICY_STATEMENTS: usize = 16;
/// Nesting of brackets in a policy.
pub const MAX_POLICY_DEPTH: usize = 16;
/// Words and operators of one statement: chains of operators are nested expressions.
pub const MAX_POLICY_WORDS: usize = 1500;
/// Policies of one owner, and of the deployment: 409 beyond.
pub const MAX_POLICIES: usize = 64;
/// Texts that one policy may have had: 409 beyond.
pub const MAX_POLICY_VERSIONS: i64 = 500;

/// Sets of labels that one metric has; all beyond share one. No label's values are a stranger's
/// choice, so that it takes a mistake to get there.
pub const MAX_LABEL_SETS: usize = 1000;
/// Requests whose spans wait for the collector; one more is dropped, and counted.
pub const MAX_QUEUED_TRACES: usize = 2048;
/// Requests whose spans go in one message.
pub const MAX_TRACES_AT_ONCE: usize = 128;
/// Tries of one message to the collector, the pause after the first, and what is read of an
/// answer. Each pause is twice the one before.
pub const MAX_EXPORT_TRIES: u32 = 3;
pub const TELEMETRY_RETRY_PAUSE: Duration = Duration::from_secs(1);
pub const MAX_COLLECTOR_ANSWER: usize = 64 * 1024;
/// How long a stop waits for the collector.
pub const TELEMETRY_FLUSH: Duration = Duration::from_secs(2);
/// Scrapes of `/metrics` that are answered at once; further connections wait.
pub const MAX_SCRAPES: usize = 16;
