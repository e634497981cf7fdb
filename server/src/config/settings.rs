//! The one list of settings: names, defaults, meaning. The documentation and the compose
//! file are tested against it.

/// One setting. `env` is its environment variable; in the file it is the same name in
/// lower case without the prefix.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub env: &'static str,
    pub default: Option<&'static str>,
    /// May also come from a file named by `<env>_FILE`, and is never shown.
    pub secret: bool,
    pub about: &'static str,
}

pub const PREFIX: &str = "STIPEND_";
/// Settings of the OpenTelemetry specification keep their names, in the file too.
pub const OTEL_PREFIX: &str = "OTEL_";
/// Names the optional TOML file. Environment variables win over it.
pub const CONFIG_FILE: &str = "STIPEND_CONFIG_FILE";
/// Settings of the command line client, read by it and not by the server.
pub const CLIENT_SETTINGS: [&str; 5] =
    ["STIPEND_CLIENT_ID", "STIPEND_CLIENT_SECRET", "STIPEND_CLIENT_SECRET_FILE", "STIPEND_TOKEN", "STIPEND_CA_FILE"];

const fn setting(env: &'static str, default: Option<&'static str>, about: &'static str) -> Setting {
    Setting { env, default, secret: false, about }
}

const fn secret(env: &'static str, about: &'static str) -> Setting {
    Setting { env, default: None, secret: true, about }
}

pub const SETTINGS: &[Setting] = &[
    setting(
        "STIPEND_ISSUER",
        Some("http://127.0.0.1:8080"),
        "Issuer identifier (RFC 8414 section 2): the public URL. https, or http on loopback, or http behind a trusted proxy",
    ),
    setting(
        "STIPEND_SERVE",
        Some("issuer,release"),
        "What this node serves: issuer, release (the key-release service and its proxy), or both",
    ),
    setting(
        "STIPEND_RELEASE_URL",
        None,
        "Public URL of the key-release service where it runs apart; absent: the issuer. The same on every node",
    ),
    setting("STIPEND_LISTEN", Some("127.0.0.1:8080"), "Address and port to listen on"),
    Setting {
        env: "STIPEND_DATABASE_URL",
        default: Some("sqlite://stipend.db"),
        secret: true,
        about: "sqlite://path or postgres://user:password@host/database",
    },
    setting("STIPEND_DATABASE_POOL", Some("8"), "PostgreSQL connections of this node, 2 to 64"),
    Setting {
        env: "STIPEND_REDIS_URL",
        default: None,
        secret: true,
        about: "redis://user:password@host:port/database, or rediss:// for TLS: limits shared by nodes, and faster wake-ups. Absent: the database does it",
    },
    setting(
        "STIPEND_REDIS_CA_FILE",
        None,
        "Certificates (PEM) of the CA that signed Redis's, in place of the system's",
    ),
    setting(
        "STIPEND_CLIENT_RATE",
        Some("off"),
        "How often one client may ask, on all nodes together: count/seconds or count/seconds/burst, such as 600/60/100, or off. A client's own settings win",
    ),
    setting(
        "STIPEND_OWNER_RATE",
        Some("off"),
        "How often all clients of one owner together may ask, written the same way, or off",
    ),
    setting(
        "STIPEND_KEK_PROVIDER",
        Some("static"),
        "Who holds the key-encryption key that seals: static (STIPEND_KEK), vault or pkcs11. Others that are configured open what they sealed",
    ),
    secret(
        "STIPEND_KEK",
        "Static key-encryption key: 32 bytes as base64url or hex. With SQLite one is made beside the database when absent; with PostgreSQL it is required, if no other provider seals",
    ),
    secret("STIPEND_KEK_PREVIOUS", "Earlier static keys, separated by commas, that may still open what they sealed"),
    setting(
        "STIPEND_VAULT_ADDRESS",
        None,
        "Vault or OpenBao with a transit engine: https://host[:port], or http:// on this machine's loopback",
    ),
    setting("STIPEND_VAULT_CA_FILE", None, "Certificates (PEM) of the CA that signed Vault's; required with https"),
    setting(
        "STIPEND_VAULT_TOKEN_FILE",
        None,
        "File in which an agent keeps Vault's access token; read again when the token is refused",
    ),
    setting("STIPEND_VAULT_NAMESPACE", None, "Namespace of Vault, where it has them"),
    setting("STIPEND_VAULT_MOUNT", Some("transit"), "Where the transit engine is mounted"),
    setting("STIPEND_VAULT_KEY", Some("stipend"), "Transit key that seals, of type aes256-gcm96"),
    setting(
        "STIPEND_VAULT_KEYS_PREVIOUS",
        None,
        "Earlier transit keys, separated by commas, that may still open what they sealed",
    ),
    setting("STIPEND_VAULT_TIMEOUT_SECONDS", Some("5"), "Longest that one call to Vault may take, 1 to 60"),
    setting("STIPEND_PKCS11_MODULE", None, "Driver of a PKCS#11 token, such as /usr/lib/softhsm/libsofthsm2.so"),
    setting("STIPEND_PKCS11_TOKEN", None, "Label of the token"),
    setting("STIPEND_PKCS11_KEY", None, "AES key in the token that seals: its label, or id= and hex digits"),
    setting(
        "STIPEND_PKCS11_KEYS_PREVIOUS",
        None,
        "Earlier AES keys in the token, separated by commas, that may still open what they sealed",
    ),
    secret("STIPEND_PKCS11_PIN", "User PIN of the token"),
    secret(
        "STIPEND_BOOTSTRAP_SECRET",
        "Secret of the first admin client, stipend.admin, at the first start. Absent: one is made and printed once",
    ),
    setting(
        "STIPEND_TLS_CERT_FILE",
        None,
        "Certificate chain (PEM). With STIPEND_TLS_KEY_FILE the server speaks TLS itself",
    ),
    setting("STIPEND_TLS_KEY_FILE", None, "Private key (PEM) of the certificate"),
    setting(
        "STIPEND_CLIENT_CA_FILE",
        None,
        "Certificates (PEM) of the authorities whose client certificates tls_client_auth takes; the system's are never used",
    ),
    setting(
        "STIPEND_CLIENT_CERTIFICATE_HEADER",
        None,
        "Header in which the trusted proxies pass a client's certificate on, such as Client-Cert: base64 of the DER (RFC 9440) or URL-encoded PEM",
    ),
    setting(
        "STIPEND_TRUSTED_PROXIES",
        None,
        "Addresses or networks, separated by commas, whose X-Forwarded-For and client certificate header are believed",
    ),
    setting("STIPEND_SIGNING_ALG", Some("ES256"), "Algorithm of new signing keys: ES256, EdDSA, RS256 or PS256"),
    setting(
        "STIPEND_EVENT_SIGNING_ALG",
        None,
        "Algorithm that security events are signed with, such as RS256 for the CAEP interoperability profile; absent: as tokens are. The same on every node",
    ),
    setting("STIPEND_KEY_ROTATION_SECONDS", Some("2592000"), "How long a signing key signs, 7200 to 31536000"),
    setting(
        "STIPEND_DPOP_NONCE",
        Some("off"),
        "Whether DPoP proofs must carry a nonce of this server (RFC 9449 section 8): off or required",
    ),
    setting(
        "STIPEND_AUDIT_RETENTION_DAYS",
        None,
        "How long audit records are kept, 1 to 36500 days; absent: for ever. What is older is pruned behind a signed cut",
    ),
    setting("STIPEND_MAX_DEPTH", Some("4"), "Most actors in a token's act chain, 1 to 16"),
    setting("STIPEND_MAX_CHILDREN", Some("64"), "Most tokens with a budget from one subject token, 1 to 10000"),
    setting("STIPEND_UPSTREAM_HTTP_HOSTS", None, "Hosts, separated by commas, that the proxy may call by plain http"),
    setting(
        "STIPEND_UPSTREAM_NETWORKS",
        None,
        "Private addresses or networks, separated by commas, that the proxy may connect to; others are refused",
    ),
    setting("STIPEND_UPSTREAM_CA_FILE", None, "Certificates (PEM) of private upstreams, beside the system's"),
    setting(
        "STIPEND_FETCH_HTTP_HOSTS",
        None,
        "Hosts, separated by commas, that keys of trusted issuers and metadata of clients may be fetched from by plain http",
    ),
    setting(
        "STIPEND_FETCH_NETWORKS",
        None,
        "Private addresses or networks, separated by commas, that these may be fetched from; others are refused",
    ),
    setting("STIPEND_FETCH_CA_FILE", None, "Certificates (PEM) of private hosts that these are fetched from"),
    setting("STIPEND_WORKERS", None, "HTTP worker threads; absent: one per core"),
    setting(
        "STIPEND_MAX_UNDER_WAY",
        Some("256"),
        "Requests of one class that are served at once; as many wait for half a second, and further ones are answered 503 (Overload)",
    ),
    setting("STIPEND_LOG_FORMAT", Some("json"), "json or text"),
    setting("STIPEND_LOG_LEVEL", Some("info"), "A tracing filter: error, warn, info, debug, or per module"),
    setting(
        "STIPEND_METRICS_LISTEN",
        None,
        "Address and port at which GET /metrics is answered, and nothing else; absent: nowhere. By plain http",
    ),
    secret(
        "STIPEND_METRICS_TOKEN",
        "What a scraper of /metrics shows as its bearer token; required unless STIPEND_METRICS_LISTEN is on loopback",
    ),
    setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        None,
        "Collector that traces and metrics are sent to by OTLP over HTTP, such as http://127.0.0.1:4318; absent: nothing is sent",
    ),
    setting("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", None, "URL of the traces alone, whole, in place of the general one"),
    setting(
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        None,
        "URL of the metrics alone, whole, in place of the general one",
    ),
    secret("OTEL_EXPORTER_OTLP_HEADERS", "Headers sent with each export: name=value, separated by commas"),
    setting(
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        Some("10000"),
        "Longest that one export may take, in milliseconds, 10 to 60000",
    ),
    setting(
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        None,
        "Certificates (PEM) of the CA that signed the collector's, in place of the system's",
    ),
    setting("OTEL_EXPORTER_OTLP_PROTOCOL", Some("http/protobuf"), "The one that is spoken: http/protobuf"),
    setting("OTEL_TRACES_EXPORTER", Some("otlp"), "otlp or none"),
    setting("OTEL_METRICS_EXPORTER", Some("otlp"), "otlp or none"),
    setting("OTEL_SERVICE_NAME", Some("stipend"), "service.name of what is told"),
    setting("OTEL_RESOURCE_ATTRIBUTES", None, "Further attributes of the node: key=value, separated by commas"),
    setting(
        "OTEL_TRACES_SAMPLER",
        Some("parentbased_always_on"),
        "Which requests are traced: always_on, always_off or traceidratio, or one of these after parentbased_",
    ),
    setting("OTEL_TRACES_SAMPLER_ARG", Some("1"), "The ratio of traceidratio, 0 to 1"),
    setting("OTEL_BSP_SCHEDULE_DELAY", Some("5000"), "How long spans gather before they are sent, in milliseconds"),
    setting("OTEL_METRIC_EXPORT_INTERVAL", Some("60000"), "How often metrics are sent, in milliseconds"),
    setting("OTEL_SDK_DISABLED", Some("false"), "true: nothing is sent, whatever the others say"),
];
