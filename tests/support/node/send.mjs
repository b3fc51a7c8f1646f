// Sends messages one after the other with node-hl7-client and prints what each answer says.
// Standard input: {"port", "messages": [text], "tls": {"ca", "cert", "key"} or null}, paths of PEM.
import { readFileSync } from "node:fs";
import { Client, Message } from "node-hl7-client";

const order = JSON.parse(readFileSync(0, "utf-8"));
const tls = order.tls && {
  ca: readFileSync(order.tls.ca),
  cert: readFileSync(order.tls.cert),
  key: readFileSync(order.tls.key),
  servername: "localhost",
};
const client = new Client({ host: "127.0.0.1", ...(tls ? { tls } : {}) });
let answered = () => {};
const connection = client.createConnection({ port: order.port }, async (response) => {
  const message = response.getMessage();
  console.log(`${message.get("MSA.1").toString()}\t${message.get("MSA.2").toString()}`);
  answered();
});
await new Promise((resolve) => connection.on("connect", resolve));
for (const text of order.messages) {
  const answer = new Promise((resolve) => (answered = resolve));
  await connection.sendMessage(new Message({ text }));
  await answer;
}
await connection.close();
process.exit(0);
