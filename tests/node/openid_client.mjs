// A public client made with openid-client.
import { take } from "./steps.mjs";

const oidc = await import("openid-client");

let config, verifier, state, nonce, subject;

const steps = {
  // Finds the issuer by its metadata; plain http is for its loopback address.
  async discover({ issuer, client_id }) {
    config = await oidc.discovery(new URL(issuer), client_id, undefined, oidc.None(), {
      execute: [oidc.allowInsecureRequests],
    });
    return { issuer: config.serverMetadata().issuer, pkce: config.serverMetadata().supportsPKCE() };
  },
  // Registers itself with the token that its maker was given, and goes on as the client it was made.
  async register({ issuer, token, metadata }) {
    config = await oidc.dynamicClientRegistration(new URL(issuer), metadata, undefined, {
      initialAccessToken: token,
      execute: [oidc.allowInsecureRequests],
    });
    return config.clientMetadata();
  },
  // The address to which the person's browser goes.
  async authorize(parameters) {
    verifier = oidc.randomPKCECodeVerifier();
    state = oidc.randomState();
    nonce = oidc.randomNonce();
    const challenge = await oidc.calculatePKCECodeChallenge(verifier);
    const sent = { ...parameters, state, nonce, code_challenge: challenge, code_challenge_method: "S256" };
    return oidc.buildAuthorizationUrl(config, sent).href;
  },
  // Judges what came back (state, iss), redeems the code, and judges the ID token (signature, nonce, …).
  async callback({ url }) {
    const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true };
    const tokens = await oidc.authorizationCodeGrant(config, new URL(url), checks);
    subject = tokens.claims().sub;
    return { ...tokens, claims: tokens.claims() };
  },
  userinfo: ({ access_token }) => oidc.fetchUserInfo(config, access_token, subject),
  refresh: ({ refresh_token }) => oidc.refreshTokenGrant(config, refresh_token),
  revoke: ({ token }) => oidc.tokenRevocation(config, token).then(() => null),
};

await take(steps);
