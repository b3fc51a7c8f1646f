import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.ConceptValidationOptions;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.context.support.ValidationSupportContext;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.SingleValidationMessage;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.hl7.fhir.common.hapi.validation.support.BaseValidationSupportWrapper;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.PrePopulatedValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.UnknownCodeSystemWarningValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.instance.model.api.IBaseResource;
import org.hl7.fhir.r4.model.MetadataResource;
import org.hl7.fhir.r5.utils.validation.constants.BestPracticeWarningLevel;

/**
 * Judges the resources of standard input, one JSON a line, against base R4 and the profiles of the folder that is
 * the argument; answers each with one line, a JSON array of issues (severity, message id, place, message). Nothing is
 * left out: who asks says which warnings are accepted. Says `ready` once it can.
 */
public class JudgeBundles {
    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err); // libraries talk; standard output is for verdicts
        FhirValidator validator = validator(Path.of(args[0]));
        out.println("ready");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonArray issues = new JsonArray();
            try {
                for (SingleValidationMessage said : validator.validateWithResult(line).getMessages()) {
                    issues.add(issue(
                            said.getSeverity().getCode(), said.getMessageId(), said.getLocationString(),
                            said.getMessage()));
                }
                dangling(JsonParser.parseString(line).getAsJsonObject(), issues);
            } catch (RuntimeException error) {
                error.printStackTrace();
                issues.add(issue("fatal", "judge", "", String.valueOf(error)));
            }
            out.println(issues);
        }
    }

    private static FhirValidator validator(Path profiles) throws IOException {
        FhirContext context = FhirContext.forR4Cached();
        PrePopulatedValidationSupport ours = new PrePopulatedValidationSupport(context);
        for (Path path : files(profiles)) {
            String text = Files.readString(path);
            // FR Core pins the versions of HL7's own canonicals and the engine compares plain URLs.
            text = text.replaceAll("(\"http://(?:terminology\\.)?hl7\\.org/[^\"| ]*)\\|[0-9.]+\"", "$1\"");
            ours.addResource(context.newJsonParser().parseResource(text));
        }
        UnknownCodeSystemWarningValidationSupport unknown = new UnknownCodeSystemWarningValidationSupport(context);
        unknown.setNonExistentCodeSystemSeverity(IValidationSupport.IssueSeverity.WARNING);
        ValidationSupportChain chain = new ValidationSupportChain(
                new DefaultProfileValidationSupport(context),
                ours,
                new CommonCodeSystemsTerminologyService(context),
                new InMemoryTerminologyServerValidationSupport(context),
                new SnapshotGeneratingValidationSupport(context),
                unknown);
        FhirInstanceValidator module = new FhirInstanceValidator(new Copies(context, chain));
        module.setAnyExtensionsAllowed(false);
        module.setErrorForUnknownProfiles(true);
        module.setNoExtensibleWarnings(false);
        module.setBestPracticeWarningLevel(BestPracticeWarningLevel.Warning);
        FhirValidator validator = context.newValidator();
        validator.registerValidatorModule(module);
        return validator;
    }

    private static List<Path> files(Path folder) throws IOException {
        try (Stream<Path> found = Files.list(folder)) {
            return found.filter(path -> path.toString().endsWith(".json")).sorted().toList();
        }
    }

    private static JsonObject issue(String severity, String id, String place, String message) {
        JsonObject issue = new JsonObject();
        issue.addProperty("severity", severity);
        issue.addProperty("id", id == null ? "" : id);
        issue.addProperty("place", place == null ? "" : place);
        issue.addProperty("message", message == null ? "" : message);
        return issue;
    }

    /** A reference to a urn that no entry has is an error: the engine looks for none in a collection. */
    private static void dangling(JsonObject bundle, JsonArray issues) {
        Set<String> urls = new HashSet<>();
        if (bundle.has("entry")) {
            for (JsonElement entry : bundle.getAsJsonArray("entry")) {
                JsonElement url = entry.getAsJsonObject().get("fullUrl");
                if (url != null && !urls.add(url.getAsString())) {
                    issues.add(issue("error", "judge-twice", "", "two entries have one fullUrl"));
                }
            }
        }
        List<JsonElement> todo = new ArrayList<>(List.of(bundle));
        while (!todo.isEmpty()) {
            JsonElement each = todo.remove(todo.size() - 1);
            if (each.isJsonArray()) {
                each.getAsJsonArray().forEach(todo::add);
            } else if (each.isJsonObject()) {
                each.getAsJsonObject().entrySet().forEach(part -> {
                    JsonElement value = part.getValue();
                    boolean refers = part.getKey().equals("reference") && value.isJsonPrimitive();
                    if (refers && value.getAsString().startsWith("urn:") && !urls.contains(value.getAsString())) {
                        issues.add(issue("error", "judge-dangling", "", "a reference to no entry"));
                    }
                    todo.add(value);
                });
            }
        }
    }

    /** The engine's adapter appends issues to cached results: each caller gets a copy of its own. */
    private static final class Copies extends BaseValidationSupportWrapper {
        Copies(FhirContext context, IValidationSupport inner) {
            super(context, inner);
        }

        @Override
        public CodeValidationResult validateCode(
                ValidationSupportContext context, ConceptValidationOptions options, String system, String code,
                String display, String valueSet) {
            return copy(super.validateCode(context, options, system, code, display, valueSet));
        }

        @Override
        public CodeValidationResult validateCodeInValueSet(
                ValidationSupportContext context, ConceptValidationOptions options, String system, String code,
                String display, IBaseResource valueSet) {
            return copy(super.validateCodeInValueSet(context, options, system, code, display, valueSet));
        }

        private static CodeValidationResult copy(CodeValidationResult one) {
            if (one == null) {
                return null;
            }
            CodeValidationResult other = new CodeValidationResult();
            other.setCode(one.getCode());
            other.setDisplay(one.getDisplay());
            other.setSeverity(one.getSeverity());
            other.setMessage(one.getMessage());
            other.setCodeSystemName(one.getCodeSystemName());
            other.setCodeSystemVersion(one.getCodeSystemVersion());
            other.setSourceDetails(one.getSourceDetails());
            other.setProperties(one.getProperties());
            other.setIssues(new ArrayList<>(one.getIssues()));
            return other;
        }
    }
}
