// A confidential client made with openid-client: it makes its own key, registers itself, proves itself by
// private_key_jwt, and has a small web server at which it hears of logouts. jose judges what it hears.
import { createServer } from "node:http";
import { take } from "./steps.mjs";

const oidc = await import("openid-client");
const jose = await import("jose");

const insecure = { execute: [oidc.allowInsecureRequests] }; // the issuer is on this machine
const heard = [];
let config, registration, verifier, state, nonce, subject, listener;

const steps = {
  // The address at which the client hears of logouts.
  async listen() {
    listener = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk) => (body += chunk));
      request.on("end", () => {
        heard.push(new URLSearchParams(body).get("logout_token"));
        response.writeHead(200, { "Cache-Control": "no-store" }).end();
      });
    });
    await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${listener.address().port}/backchannel-logout`;
  },
  // Registers itself with a new key and the token that its maker was given.
  async register({ issuer, token, metadata }) {
    const { publicKey, privateKey } = await jose.generateKeyPair("ES256", { extractable: true });
    const jwk = { ...(await jose.exportJWK(publicKey)), kid: "k1", alg: "ES256", use: "sig" };
    const keys = { keys: [jwk] };
    const proof = oidc.PrivateKeyJwt({ key: privateKey, kid: "k1" });
    const given = { ...metadata, token_endpoint_auth_method: "private_key_jwt", jwks: keys };
    config = await oidc.dynamicClientRegistration(new URL(issuer), given, proof, { initialAccessToken: token, ...insecure });
    oidc.enableNonRepudiationChecks(config); // the signatures of ID tokens and of UserInfo are looked at
    registration = config.clientMetadata();
    return registration;
  },
  // What the server says of it now (RFC 7592), asked for with its own token.
  async registered() {
    const headers = { Authorization: `Bearer ${registration.registration_access_token}` };
    return (await fetch(registration.registration_client_uri, { headers })).json();
  },
  async authorize(parameters) {
    verifier = oidc.randomPKCECodeVerifier();
    state = oidc.randomState();
    nonce = oidc.randomNonce();
    const challenge = await oidc.calculatePKCECodeChallenge(verifier);
    const sent = { ...parameters, state, nonce, code_challenge: challenge, code_challenge_method: "S256" };
    return oidc.buildAuthorizationUrl(config, sent).href;
  },
  async callback({ url }) {
    const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true };
    const tokens = await oidc.authorizationCodeGrant(config, new URL(url), checks);
    subject = tokens.claims().sub;
    return { ...tokens, claims: tokens.claims() };
  },
  // Judges the signature, issuer and audience where the answer is a JWT, and the subject always.
  userinfo: ({ access_token }) => oidc.fetchUserInfo(config, access_token, subject),
  refresh: ({ refresh_token }) => oidc.refreshTokenGrant(config, refresh_token),
  revoke: ({ token }) => oidc.tokenRevocation(config, token).then(() => null),
  // Asks as the client itself, or as the API that ``as`` are the credentials of.
  async introspect({ token, as }) {
    if (!as) return oidc.tokenIntrospection(config, token);
    const proof = oidc.ClientSecretBasic(as.secret);
    const issuer = new URL(config.serverMetadata().issuer);
    const api = await oidc.discovery(issuer, as.client_id, undefined, proof, insecure);
    return oidc.tokenIntrospection(api, token);
  },
  endSession: (parameters) => oidc.buildEndSessionUrl(config, parameters).href,
  // The claims of the logout token that came, judged as OpenID Connect Back-Channel Logout §2.6 says.
  async heard() {
    if (heard.length === 0) return null;
    const { issuer, jwks_uri } = config.serverMetadata();
    const keys = jose.createRemoteJWKSet(new URL(jwks_uri));
    const expected = { issuer, audience: registration.client_id, typ: "logout+jwt", algorithms: ["ES256"], requiredClaims: ["iat", "jti", "events", "sid"] };
    const { payload } = await jose.jwtVerify(heard.shift(), keys, expected);
    return payload;
  },
  close: () => new Promise((resolve) => listener.close(() => resolve(null))),
};

await take(steps);
