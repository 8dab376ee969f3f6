package org.moe4j.train.report;

/** Text on its way into a page, so that none of it is taken for markup or script. */
public final class Html {
  private Html() {}

  /** {@code text} as the content of an element or of a quoted attribute. */
  public static String escape(String text) {
    StringBuilder out = new StringBuilder(text.length() + 16);
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '&' -> out.append("&amp;");
        case '<' -> out.append("&lt;");
        case '>' -> out.append("&gt;");
        case '"' -> out.append("&quot;");
        case '\'' -> out.append("&#39;");
        default -> out.append(c);
      }
    }
    return out.toString();
  }

  /**
   * {@code json} as the content of a script element: the same value, without the characters that
   * could end the element or begin a comment. Those occur in strings alone, where they may be
   * written as escapes.
   */
  public static String script(String json) {
    return json.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026");
  }

  /** A section with a sentence on how to read it; nothing if the body is empty. */
  public static String section(String id, String title, String how, String body) {
    if (body.isEmpty()) {
      return "";
    }
    return """
    <section id="%s" aria-labelledby="%s-title">
    <h2 id="%s-title">%s</h2>
    """
            .formatted(id, id, id, title)
        + (how.isEmpty() ? "" : "<p class=\"how\">" + how + "</p>\n")
        + body
        + "\n</section>\n";
  }

  /**
   * The place of a line chart, of a fixed height, so that nothing moves when it is drawn.
   *
   * @param id what the script knows it by
   * @param description what it shows, for those who do not see it
   * @param height tall, low or empty for the one between
   */
  public static String chart(String id, String title, String description, String height) {
    return """
    <figure><figcaption>%s</figcaption><div class="chart %s">\
    <canvas id="chart-%s" role="img" aria-label="%s"></canvas></div></figure>
    """
        .formatted(title, height, id, escape(title + ": " + description));
  }

  /** A region that scrolls sideways by itself, with the keyboard too. */
  public static String scrolling(String label, String content) {
    return "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\""
        + label
        + "\">"
        + content
        + "</div>\n";
  }
}
