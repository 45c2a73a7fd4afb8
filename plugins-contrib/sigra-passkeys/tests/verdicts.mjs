// What @simplewebauthn/server says of the ceremonies on standard input; its folder is the first argument.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const found = createRequire(`${process.argv[2]}/`).resolve("@simplewebauthn/server");
const { verifyAuthenticationResponse, verifyRegistrationResponse } = await import(pathToFileURL(found).href);

let text = "";
for await (const chunk of process.stdin) text += chunk;
const { challenge, origin, rpId, cases } = JSON.parse(text);
const expected = { expectedChallenge: challenge, expectedOrigin: origin, expectedRPID: rpId };
const verdicts = [];
for (const one of cases) {
  const requireUserVerification = one.verified;
  const made = await verifyRegistrationResponse({ ...expected, response: one.registration, requireUserVerification });
  const credential = { id: one.assertion.id, publicKey: Buffer.from(one.key, "base64url"), counter: 0 };
  const given = await verifyAuthenticationResponse({
    ...expected, response: one.assertion, credential, requireUserVerification,
  });
  verdicts.push({ registration: made.verified, assertion: given.verified });
}
console.log(JSON.stringify(verdicts));
