// Tokens for Label Studio from Java 11 or later, without a library. Prints one:
//
//   JWT_SSO_SECRET=… java LabelStudioToken.java sign ann@example.com Ann Lee
//   LABEL_STUDIO_URL=https://ls.company.com LABEL_STUDIO_API_TOKEN=… java LabelStudioToken.java request ann@example.com

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** A token is for one login: make a new one each time a user opens Label Studio. */
public final class LabelStudioToken {
    private static final HttpClient CLIENT =
        HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).build();
    private static final Pattern TOKEN = Pattern.compile("\"token\"\\s*:\\s*\"([\\w.-]+)\"");

    private LabelStudioToken() {}

    /** Method 1: signs a token with the secret that the gate has as JWT_SSO_SECRET. */
    public static String sign(String secret, String email, String firstName, String lastName)
            throws GeneralSecurityException {
        long now = Instant.now().getEpochSecond();
        String claims = "{\"email\":" + json(email) + ",\"first_name\":" + json(firstName)
            + ",\"last_name\":" + json(lastName) + ",\"iat\":" + now + ",\"exp\":" + (now + 600) + "}";
        String signed = base64Url(bytes("{\"alg\":\"HS256\",\"typ\":\"JWT\"}")) + "." + base64Url(bytes(claims));
        Mac mac = Mac.getInstance("HmacSHA256");
        // The bytes of the text itself, not what it would be as base64.
        mac.init(new SecretKeySpec(bytes(secret), "HmacSHA256"));
        return signed + "." + base64Url(mac.doFinal(bytes(signed)));
    }

    /** Method 2: requests a token from the gate, with the API token of an administrator of Label Studio. */
    public static String request(URI labelStudio, String apiToken, String email)
            throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(labelStudio.resolve("/api/sso/token"))
            .timeout(Duration.ofSeconds(10))
            .header("Authorization", "Token " + apiToken)
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString("{\"email\":" + json(email) + "}"))
            .build();
        HttpResponse<String> answer = CLIENT.send(request, HttpResponse.BodyHandlers.ofString());
        Matcher token = TOKEN.matcher(answer.body());
        if (answer.statusCode() != 200 || !token.find()) {
            throw new IOException("no token: " + answer.statusCode() + " " + answer.body());
        }
        return token.group(1);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String base64Url(byte[] bytes) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
    }

    /** The text as a JSON string (RFC 8259, section 7). */
    private static String json(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                quoted.append('\\').append(c);
            } else if (c < ' ') {
                quoted.append(String.format("\\u%04x", (int) c));
            } else {
                quoted.append(c);
            }
        }
        return quoted.append('"').toString();
    }

    public static void main(String[] arguments) throws Exception {
        switch (String.join(" ", arguments).split(" ")[0]) {
            case "sign":
                System.out.println(sign(System.getenv("JWT_SSO_SECRET"), arguments[1], arguments[2], arguments[3]));
                break;
            case "request":
                URI labelStudio = URI.create(System.getenv("LABEL_STUDIO_URL"));
                System.out.println(request(labelStudio, System.getenv("LABEL_STUDIO_API_TOKEN"), arguments[1]));
                break;
            default:
                System.err.println("usage: sign EMAIL FIRST_NAME LAST_NAME | request EMAIL");
                System.exit(64);
        }
    }
}
