// A token-exchange grant for oidc-provider, which has none: the rules of one
// deployment, deny by default, delegation only. Nothing here is taken from
// Stipend; it is what its documentation of registerGrantType leads to.
import { errors } from 'oidc-provider';
import { createLocalJWKSet, jwtVerify } from 'jose';

export const grantType = 'urn:ietf:params:oauth:grant-type:token-exchange';
export const parameters = [
  'subject_token', 'subject_token_type', 'actor_token', 'actor_token_type',
  'requested_token_type', 'audience', 'resource', 'scope',
];
const TYPE = 'urn:ietf:params:oauth:token-type:';
const MAX_DEPTH = 4;

export function exchange(provider, { publicKeys, resources, rules }) {
  const keys = createLocalJWKSet(publicKeys);

  // An access token of this issuer, JWT or opaque, whoever it was issued to.
  async function read(name, token, type) {
    if (type !== `${TYPE}access_token` && type !== `${TYPE}jwt`) {
      throw new errors.InvalidRequest(`${name}_type is not supported`);
    }
    const opaque = type === `${TYPE}access_token` && await provider.ClientCredentials.find(token);
    if (opaque && opaque.isValid) {
      return {
        clientId: opaque.clientId, sub: opaque.extra?.sub ?? opaque.clientId, act: opaque.extra?.act,
        aud: [opaque.aud].flat(), scope: opaque.scope ?? '', exp: opaque.exp,
      };
    }
    try {
      const { payload } = await jwtVerify(token, keys, { issuer: provider.issuer, typ: 'at+jwt' });
      return { ...payload, clientId: payload.client_id, aud: [payload.aud].flat(), scope: payload.scope ?? '' };
    } catch {
      throw new errors.InvalidRequest(`${name} is invalid`);
    }
  }

  function onlyTarget(params) {
    const targets = new Set([params.audience, params.resource].flat().filter(Boolean));
    for (const target of targets) {
      if (!resources[target]) throw new errors.InvalidTarget();
    }
    if (targets.size !== 1) throw new errors.InvalidTarget();
    return [...targets][0];
  }

  return async function handler(ctx) {
    const { client, params } = ctx.oidc;
    if (!params.subject_token) throw new errors.InvalidRequest('subject_token is missing');
    if (!params.actor_token !== !params.actor_token_type) {
      throw new errors.InvalidRequest('actor_token and actor_token_type go together');
    }
    const requested = params.requested_token_type ?? `${TYPE}access_token`;
    if (requested !== `${TYPE}access_token`) {
      throw new errors.InvalidRequest('requested_token_type is not supported');
    }
    const subject = await read('subject_token', params.subject_token, params.subject_token_type);
    if (params.actor_token) {
      const actor = await read('actor_token', params.actor_token, params.actor_token_type);
      if (actor.clientId !== client.clientId) throw new errors.InvalidRequest('actor_token is not yours');
    }
    const target = onlyTarget(params);
    const from = rules.filter((rule) => rule.actor === client.clientId && subject.aud.includes(rule.from));
    if (!from.length) throw new errors.InvalidRequest('subject_token is not for you');
    const rule = from.find((candidate) => candidate.to === target);
    if (!rule) throw new errors.InvalidTarget();
    const scope = params.scope ?? rule.scope;
    if (!scope.split(' ').every((word) => rule.scope.split(' ').includes(word))) {
      throw new errors.InvalidScope('scope is wider than the rule', scope);
    }
    const act = { sub: client.clientId, ...(subject.act ? { act: subject.act } : {}) };
    let depth = 1;
    for (let inner = act.act; inner; inner = inner.act) depth += 1;
    if (depth > MAX_DEPTH) throw new errors.InvalidRequest('the chain of actors is too long');

    const token = new provider.ClientCredentials({ client, scope });
    token.resourceServer = new provider.ResourceServer(target, resources[target]);
    token.extra = { sub: subject.sub, act };
    token.expiresIn = Math.min(300, subject.exp - Math.floor(Date.now() / 1000));
    const value = await token.save();
    ctx.body = {
      access_token: value,
      issued_token_type: requested,
      token_type: 'Bearer',
      expires_in: token.expiration,
      scope: token.scope,
    };
  };
}
