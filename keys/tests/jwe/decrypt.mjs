// Decrypts a JWE with jose: {"key": JWK, "message": text} in, {"header", "content"} out.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const find = createRequire(process.argv[2] + "/");
const { compactDecrypt, importJWK } = await import(pathToFileURL(find.resolve("jose")).href);
const { key, message } = JSON.parse(readFileSync(0, "utf8"));
const header = JSON.parse(Buffer.from(message.split(".")[0], "base64url"));
const opened = await compactDecrypt(message, await importJWK(key, header.alg), {
  keyManagementAlgorithms: ["ECDH-ES+A256KW", "RSA-OAEP-256"],
  contentEncryptionAlgorithms: ["A256GCM"],
});
process.stdout.write(JSON.stringify({
  header: opened.protectedHeader,
  content: Buffer.from(opened.plaintext).toString("base64"),
}));
