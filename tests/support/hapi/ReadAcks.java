import ca.uhn.hl7v2.DefaultHapiContext;
import ca.uhn.hl7v2.HapiContext;
import ca.uhn.hl7v2.model.Message;
import ca.uhn.hl7v2.parser.Parser;
import ca.uhn.hl7v2.util.Terser;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.Base64;

/** Reads one message a line: its charset, a space, its bytes in Base64; one line of verdict each. */
public class ReadAcks {
    public static void main(String[] args) throws Exception {
        HapiContext context = new DefaultHapiContext();
        Parser parser = context.getPipeParser();
        BufferedReader in =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            int space = line.indexOf(' ');
            byte[] raw = Base64.getDecoder().decode(line.substring(space + 1));
            String text = new String(raw, Charset.forName(line.substring(0, space)));
            System.out.println(verdict(parser, text));
        }
        System.out.flush();
        context.close();
    }

    /** What was read: structure, version, MSA-1, MSA-2 and how many segments; or why it was not. */
    private static String verdict(Parser parser, String text) {
        try {
            Message message = parser.parse(text);
            Terser terser = new Terser(message);
            int segments = parser.encode(message).split("\r").length;
            return "ok\t" + message.getName() + "\t" + message.getVersion() + "\t"
                    + terser.get("/MSA-1") + "\t" + nothing(terser.get("/MSA-2")) + "\t" + segments;
        } catch (Exception error) {
            String said = String.valueOf(error.getMessage()).replaceAll("[\r\n\t]", " ");
            return "failed\t" + error.getClass().getSimpleName() + "\t" + said;
        }
    }

    private static String nothing(String text) {
        return text == null ? "" : text.replaceAll("[\r\n\t]", " ");
    }
}
