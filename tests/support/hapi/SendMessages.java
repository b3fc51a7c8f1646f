import ca.uhn.hl7v2.DefaultHapiContext;
import ca.uhn.hl7v2.HapiContext;
import ca.uhn.hl7v2.app.Connection;
import ca.uhn.hl7v2.model.Message;
import ca.uhn.hl7v2.util.Terser;
import ca.uhn.hl7v2.validation.impl.ValidationContextFactory;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Base64;

/**
 * Sends the messages of standard input, one a line in Base64, with HAPI's own client and prints
 * what each answer says. Arguments: port, and `tls` for mutual TLS with the key stores of the
 * javax.net.ssl properties.
 */
public class SendMessages {
    public static void main(String[] args) throws Exception {
        System.setProperty("ca.uhn.hl7v2.llp.charset", "UTF-8");
        HapiContext context = new DefaultHapiContext();
        context.setValidationContext(ValidationContextFactory.noValidation());
        boolean tls = args.length > 1 && args[1].equals("tls");
        Connection connection =
                context.newClient("localhost", Integer.parseInt(args[0]), tls);
        connection.getInitiator().setTimeout(60, java.util.concurrent.TimeUnit.SECONDS);
        BufferedReader in =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String text = new String(Base64.getDecoder().decode(line), StandardCharsets.UTF_8);
            Message message = context.getPipeParser().parse(text);
            Terser answer = new Terser(connection.getInitiator().sendAndReceive(message));
            System.out.println(answer.get("/MSA-1") + "\t" + answer.get("/MSA-2"));
        }
        System.out.flush();
        connection.close();
        context.close();
    }
}
