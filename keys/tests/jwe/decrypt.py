"""Decrypts a JWE with joserfc: {"key": JWK, "message": text} in, {"header", "content"} out."""
import base64
import json
import sys

from joserfc import jwe
from joserfc.jwk import import_key

asked = json.load(sys.stdin)
registry = jwe.JWERegistry(algorithms=["ECDH-ES+A256KW", "RSA-OAEP-256", "A256GCM"], strict_check_header=False)
opened = jwe.decrypt_compact(asked["message"], import_key(asked["key"]), registry=registry)
json.dump({"header": opened.protected, "content": base64.b64encode(opened.plaintext).decode()}, sys.stdout)
