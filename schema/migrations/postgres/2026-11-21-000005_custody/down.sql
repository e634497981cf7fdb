DROP TABLE server_secrets;
DROP TABLE counters;
DROP TABLE credential_uses;
DROP TABLE credential_exposures;
DROP TABLE credential_grants;
DROP TABLE credential_versions;
DROP TABLE credentials;
