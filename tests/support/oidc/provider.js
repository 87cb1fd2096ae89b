// A certified OpenID Connect provider with accounts, clients and keys from the environment.
import { readFileSync } from "node:fs";
import Provider from "oidc-provider";

const { accounts, clients, jwks, port, inToken } = JSON.parse(readFileSync(process.argv[2]));
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients,
  jwks,
  cookies: { keys: ["tests"] },
  pkce: { methods: ["S256"], required: () => true },
  claims: { openid: ["sub"], profile: ["preferred_username"], email: ["email"], groups: ["groups"] },
  conformIdTokenClaims: !inToken,
  features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  findAccount: async (_, sub) =>
    accounts[sub] && { accountId: sub, claims: async () => ({ sub, ...accounts[sub] }) },
});
provider.listen(port, "127.0.0.1", () => console.log("listening"));
