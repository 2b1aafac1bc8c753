// A relying party that is nothing but openid-client: each case of the settings
// (CASES, JSON) signs in its own way, and shows what it got as JSON.
import { createServer } from 'node:http'
import { webcrypto } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Agent, fetch as fetchBy } from 'undici'
import * as client from 'openid-client'

const { issuer, port, cases } = JSON.parse(readFileSync(process.env.CASES))
const home = `http://localhost:${port}`
const waiting = new Map() // state → what the callback needs

const subtle = {
  RS256: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  RS512: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-512' },
  PS256: { name: 'RSA-PSS', hash: 'SHA-256' },
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
}

async function privateKey({ jwk, alg }) {
  const key = await webcrypto.subtle.importKey('jwk', jwk, subtle[alg], false, ['sign'])
  return jwk.kid ? { key, kid: jwk.kid } : key
}

async function authentication(c) {
  switch (c.auth) {
    case 'client_secret_post': return client.ClientSecretPost(c.secret)
    case 'client_secret_basic': return client.ClientSecretBasic(c.secret)
    case 'private_key_jwt': return client.PrivateKeyJwt(await privateKey(c))
    case 'tls_client_auth':
    case 'self_signed_tls_client_auth': return client.TlsClientAuth()
  }
  throw new Error(`no such authentication: ${c.auth}`)
}

async function configure(c) {
  const metadata = { ...c.metadata }
  if (c.auth.includes('tls')) metadata.use_mtls_endpoint_aliases = true
  const options = {}
  if (c.certificate) {
    const dispatcher = new Agent({ connect: { cert: c.certificate, key: c.certificate_key, ca: readFileSync(process.env.NODE_EXTRA_CA_CERTS) } })
    options[client.customFetch] = (url, init) => fetchBy(url, { ...init, dispatcher })
  }
  const config = await client.discovery(new URL(issuer), c.client_id, metadata, await authentication(c), options)
  if (c.signed_userinfo) client.enableNonRepudiationChecks(config)
  return config
}

async function login(name, c) {
  const config = await configure(c)
  const verifier = client.randomPKCECodeVerifier()
  const state = client.randomState()
  const nonce = client.randomNonce()
  const dpop = c.dpop ? client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256')) : undefined
  const parameters = {
    redirect_uri: `${home}/callback`, scope: c.scope ?? 'openid profile', state, nonce,
    code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...c.parameters,
  }
  waiting.set(state, { name, c, config, dpop, checks: { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, maxAge: c.max_age, idTokenExpected: true } })
  if (c.max_age !== undefined) parameters.max_age = String(c.max_age)
  if (c.jar) {
    const signed = await client.buildAuthorizationUrlWithJAR(config, parameters, await privateKey(c))
    if (!c.par) return signed
    return client.buildAuthorizationUrlWithPAR(config, { request: signed.searchParams.get('request') }, { DPoP: dpop })
  }
  if (c.par) return client.buildAuthorizationUrlWithPAR(config, parameters, { DPoP: dpop })
  return client.buildAuthorizationUrl(config, parameters)
}

async function callback(current, state) {
  const { name, c, config, dpop, checks } = waiting.get(state) ?? {}
  if (!name) throw new Error('a callback that nobody waits for')
  waiting.delete(state)
  const tokens = await client.authorizationCodeGrant(config, current, checks, undefined, { DPoP: dpop })
  const got = { case: name, token_type: tokens.token_type, expires_in: tokens.expires_in, claims: tokens.claims() }
  got.userinfo = await client.fetchUserInfo(config, tokens.access_token, got.claims.sub, { DPoP: dpop })
  if (c.refresh) {
    const next = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP: dpop })
    got.refreshed = { claims: next.claims(), rotated: next.refresh_token !== tokens.refresh_token }
  }
  if (c.introspect) got.introspection = await client.tokenIntrospection(config, tokens.access_token)
  if (c.revoke) {
    await client.tokenRevocation(config, tokens.access_token)
    got.revoked = await client.tokenIntrospection(config, tokens.access_token)
  }
  if (c.logout) {
    got.logout = client.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: `${home}/out`, state: 'left' }).href
  }
  return got
}

async function answer(request, response) {
  const url = new URL(request.url, home)
  if (url.pathname === '/ready') return show(response, 200, {})
  if (url.pathname === '/out') return show(response, 200, { out: url.searchParams.get('state') })
  if (url.pathname.startsWith('/login/')) {
    const name = url.pathname.slice('/login/'.length)
    response.writeHead(302, { location: (await login(name, cases[name])).href }).end()
    return
  }
  if (url.pathname === '/callback' && request.method === 'POST') {
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    const body = Buffer.concat(chunks).toString()
    const posted = new Request(url, { method: 'POST', headers: { 'content-type': request.headers['content-type'] }, body })
    return show(response, 200, await callback(posted, new URLSearchParams(body).get('state')))
  }
  if (url.pathname === '/callback') return show(response, 200, await callback(url, url.searchParams.get('state')))
  show(response, 404, { error: 'no such page' })
}

function show(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body, null, 1))
}

createServer((request, response) => {
  answer(request, response).catch((error) => {
    show(response, 500, { error: `${error.name}: ${error.message}`, code: error.code, cause: error.cause })
  })
}).listen(port, 'localhost')
