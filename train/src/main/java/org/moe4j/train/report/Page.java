package org.moe4j.train.report;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Base64;
import java.util.List;
import java.util.stream.Collectors;

/**
 * The frame of the page: head, styles, sections and scripts in one document. A content security
 * policy lets run the two scripts of ours alone, by their hashes, and load nothing.
 */
public final class Page {
  private static final List<String> SHARED = List.of("page.js", "domains.js");

  private Page() {}

  /**
   * The whole document.
   *
   * @param title plain text
   * @param body HTML
   * @param data JSON for the script
   * @param own the name of the page's own script among this package's resources, which runs behind
   *     what all pages share
   */
  public static String html(String title, String body, String data, String own) {
    return document(title, body, data, Assets.text(own));
  }

  /** The whole document with {@code code} of another module behind what all pages share. */
  public static String document(String title, String body, String data, String code) {
    String shared = SHARED.stream().map(Assets::text).collect(Collectors.joining());
    return assembled(title, body, data, List.of(Assets.chartLibrary(), shared + code));
  }

  private static String assembled(String title, String body, String data, List<String> scripts) {
    StringBuilder html = new StringBuilder(400_000);
    html.append("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
        .append("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';")
        .append(" style-src 'unsafe-inline'; script-src");
    scripts.forEach(script -> html.append(" 'sha256-").append(sha256(script)).append('\''));
    html.append("\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
        .append("<meta name=\"color-scheme\" content=\"light dark\">\n<title>")
        .append(Html.escape(title))
        .append(" · moe4j</title>\n<style>\n")
        .append(Assets.text("report.css"))
        .append("</style>\n</head>\n<body>\n")
        .append(body)
        .append("\n<div id=\"tip\" role=\"status\" hidden></div>\n")
        .append("<script type=\"application/json\" id=\"data\">")
        .append(Html.script(data))
        .append("</script>\n");
    scripts.forEach(script -> html.append("<script>").append(script).append("</script>\n"));
    return html.append("</body>\n</html>\n").toString();
  }

  private static String sha256(String text) {
    try {
      byte[] hash =
          MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
      return Base64.getEncoder().encodeToString(hash);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every JDK has SHA-256", e);
    }
  }
}
