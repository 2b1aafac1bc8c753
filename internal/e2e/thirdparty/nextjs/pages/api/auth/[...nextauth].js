import NextAuth from 'next-auth'

// The provider as NHS services write it for CIS2: nothing here knows of
// Carekey but the three values that come from outside.
export default NextAuth({
  providers: [
    {
      id: 'nhs-cis2',
      name: 'NHS CIS2 Authentication',
      type: 'oauth',
      version: '2.0',
      wellKnown: `${process.env.AUTH_CIS2_ISSUER_URL}/.well-known/openid-configuration`,
      clientId: process.env.AUTH_CIS2_CLIENT_ID,
      clientSecret: process.env.AUTH_CIS2_CLIENT_SECRET,
      authorization: {
        params: {
          acr_values: 'AAL2_OR_AAL3_ANY',
          max_age: 240,
          response_type: 'code',
          scope: 'openid profile email nationalrbacaccess selectedrole',
        },
      },
      client: { token_endpoint_auth_method: 'client_secret_post' },
      idToken: true,
      checks: ['state', 'nonce', 'pkce'],
      // The ID token says who signed in and how well; names and roles are in
      // userinfo.
      profile: async (claims, tokens) => {
        const answer = await fetch(`${process.env.AUTH_CIS2_ISSUER_URL}/userinfo`, {
          headers: { authorization: `Bearer ${tokens.access_token}` },
        })
        const person = await answer.json()
        return {
          id: claims.sub, name: person.name, email: person.email, roles: person.nhsid_nrbac_roles,
          level: claims.authentication_assurance_level, role: claims.selected_roleid,
        }
      },
    },
  ],
  session: { strategy: 'jwt' },
  callbacks: {
    jwt: ({ token, user, account }) => (account ? { ...token, roles: user.roles, level: user.level, role: user.role } : token),
    session: ({ session, token }) => ({ ...session, sub: token.sub, roles: token.roles, level: token.level, role: token.role }),
  },
})
