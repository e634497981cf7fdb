//! `docker-compose.yml`: it names what exists, hides what is secret, and runs nothing with
//! more rights than it needs.

use crate::compose_file::{Compose, Service};
use crate::{is_setting, read};
use stipend::config::{Config, SETTINGS, Source};

fn compose() -> Compose {
    serde_saphyr::from_str(&read("docker-compose.yml")).unwrap_or_else(|error| panic!("docker-compose.yml: {error}"))
}

fn each(check: impl Fn(&str, &Service)) {
    compose().services.iter().for_each(|(name, service)| check(name, service));
}

#[test]
fn it_has_the_server_and_what_it_works_with() {
    let compose = compose();
    assert_eq!(compose.name, "stipend");
    assert_eq!(compose.services.keys().collect::<Vec<_>>(), ["collector", "postgres", "redis", "server"]);
    let server = &compose.services["server"];
    assert_eq!(server.build.as_deref(), Some("."), "the server is built from here");
    assert_eq!(server.depends_on["postgres"].condition, "service_healthy");
    assert_eq!(server.healthcheck.test, ["CMD", "stipend", "healthcheck"]);
    assert!(compose.services["postgres"].image.starts_with("postgres:17."));
    assert!(compose.services["redis"].image.starts_with("redis:8."));
}

#[test]
fn every_variable_of_the_server_is_a_setting() {
    for name in compose().services["server"].environment.keys() {
        assert!(is_setting(name), "{name} is no setting of the server");
    }
}

#[test]
fn the_servers_environment_is_a_valid_configuration() {
    let environment = &compose().services["server"].environment;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let vars = environment.iter().map(|(name, value)| {
        let value = match value.strip_prefix("/run/secrets/") {
            Some("redis_url") => file("redis_url", "redis://:x@redis\n"),
            Some("database_url") => file("database_url", "postgres://stipend:x@postgres/stipend\n"),
            Some(secret) => file(secret, &"0123456789abcdef".repeat(4)),
            None => value.replace("${STIPEND_ISSUER:-", "").trim_end_matches('}').to_owned(),
        };
        (name.clone(), value)
    });
    let config = Source::from_vars(vars).and_then(Config::from_source).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(config.database_url.0.starts_with("postgres://"), "the empty variable leaves the file's word");
    assert!(config.redis.is_some(), "limits are shared");
    assert!(config.kek.fixed.is_some() && config.bootstrap_secret.is_some());
    assert_eq!((config.listen.port(), config.issuer.as_str()), (8080, "http://localhost:8080"));
}

#[test]
fn every_service_has_a_health_check_and_comes_back() {
    each(|name, service| {
        assert_eq!(service.restart, "unless-stopped", "{name}");
        let check = &service.healthcheck;
        assert!(matches!(check.test[0].as_str(), "CMD" | "CMD-SHELL") && check.test.len() > 1, "{name}");
        assert!(check.retries > 0 && !check.interval.is_empty() && !check.timeout.is_empty(), "{name}");
    });
}

#[test]
fn no_service_has_more_rights_than_it_needs() {
    each(|name, service| {
        assert!(service.read_only, "{name} writes to volumes alone");
        assert_eq!(service.cap_drop, ["ALL"], "{name}");
        assert_eq!(service.security_opt, ["no-new-privileges:true"], "{name}");
        let user = service.user.split(':').next().unwrap();
        assert!(!matches!(user, "" | "0" | "root"), "{name} runs as {user}");
        for port in &service.ports {
            assert!(port.starts_with("127.0.0.1:"), "{name} listens on {port} for everybody");
        }
        if name != "server" {
            assert_eq!(service.networks, ["back"], "{name} is reached from inside alone");
        }
    });
    assert!(compose().networks["back"].as_ref().unwrap().internal);
}

#[test]
fn every_image_is_pinned_to_a_full_version() {
    each(|name, service| {
        let (_, tag) = service.image.rsplit_once(':').unwrap_or_else(|| panic!("{name}: {} has no tag", service.image));
        assert_ne!(tag, "latest", "{name}");
        let version = tag.split('-').next().unwrap();
        assert!(version.contains('.') && version.split('.').all(|part| part.parse::<u32>().is_ok()), "{name}: {tag}");
    });
    let tag = compose().services["server"].image.clone();
    assert_eq!(tag, format!("stipend:{}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn secrets_come_from_files_alone() {
    each(|name, service| {
        for (variable, value) in &service.environment {
            let secret_setting = SETTINGS.iter().any(|setting| setting.secret && setting.env == variable);
            let sounds_secret =
                ["PASSWORD", "SECRET", "TOKEN", "KEK", "KEY"].iter().any(|word| variable.contains(word));
            let is_path = variable.ends_with("_FILE") && value.starts_with("/run/secrets/");
            assert!(
                is_path || value.is_empty() || !(secret_setting || sounds_secret),
                "{name}: {variable} is a secret in the file"
            );
            assert!(!value.contains('@'), "{name}: {variable} holds a password");
        }
        let words = service.command.iter().chain(&service.healthcheck.test);
        for word in words {
            assert!(!word.contains("--requirepass") && !word.contains("://"), "{name}: {word}");
        }
    });
    for (name, secret) in &compose().secrets {
        assert!(secret.file.starts_with("./secrets/"), "{name}");
    }
    assert!(read(".gitignore").lines().any(|line| line == "/secrets"), "secrets are never committed");
}

#[test]
fn whatever_is_named_is_declared_and_whatever_is_declared_is_named() {
    let compose = compose();
    let mut named: Vec<(&str, &str)> = Vec::new();
    for (name, service) in &compose.services {
        named.extend(service.secrets.iter().map(|secret| ("secret", secret.as_str())));
        named.extend(service.configs.iter().map(|config| ("config", config.source.as_str())));
        named.extend(service.networks.iter().map(|network| ("network", network.as_str())));
        named.extend(service.volumes.iter().map(|volume| ("volume", volume.split(':').next().unwrap())));
        for value in service.environment.values().filter_map(|value| value.strip_prefix("/run/secrets/")) {
            assert!(service.secrets.iter().any(|secret| secret == value), "{name}: {value} is not mounted");
        }
        for needed in service.depends_on.keys() {
            assert!(compose.services.contains_key(needed), "{name}: {needed}");
        }
    }
    let mut declared: Vec<(&str, &str)> = Vec::new();
    declared.extend(compose.secrets.keys().map(|name| ("secret", name.as_str())));
    declared.extend(compose.configs.keys().map(|name| ("config", name.as_str())));
    declared.extend(compose.networks.keys().map(|name| ("network", name.as_str())));
    declared.extend(compose.volumes.keys().map(|name| ("volume", name.as_str())));
    named.sort_unstable();
    named.dedup();
    declared.sort_unstable();
    assert_eq!(named, declared);
}

#[test]
fn the_instructions_make_every_secret() {
    let text = read("docker-compose.yml");
    for (name, secret) in &compose().secrets {
        let made = format!("> {}", secret.file.trim_start_matches("./"));
        assert!(
            text.lines().any(|line| line.starts_with('#') && line.ends_with(&made)),
            "{name}: nothing says how to make it"
        );
    }
}

#[test]
fn the_collectors_configuration_is_whole() {
    let compose = compose();
    let collector = &compose.services["collector"];
    let mounted = &collector.configs[0];
    assert_eq!(collector.command, [format!("--config={}", mounted.target)]);
    let config = read(&compose.configs[&mounted.source].file);
    let config: serde_json::Value = serde_saphyr::from_str(&config).unwrap();
    let told = &compose.services["server"].environment["OTEL_EXPORTER_OTLP_ENDPOINT"];
    let heard = config["receivers"]["otlp"]["protocols"]["http"]["endpoint"].as_str().unwrap();
    assert_eq!(*told, heard.replace("0.0.0.0", "http://collector"), "the server speaks OTLP over HTTP, there");
    assert!(collector.networks.iter().any(|network| compose.services["server"].networks.contains(network)));
    for (name, pipeline) in config["service"]["pipelines"].as_object().unwrap() {
        for part in ["receivers", "processors", "exporters"] {
            for used in pipeline[part].as_array().unwrap() {
                assert!(config[part].get(used.as_str().unwrap()).is_some(), "{name}: {used} is not among the {part}");
            }
        }
    }
}
