package org.moe4j.train.report;

/** Text on its way into a page, so that none of it is taken for markup or script. */
final class Html {
  private Html() {}

  /** {@code text} as the content of an element or of a quoted attribute. */
  static String escape(String text) {
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
  static String script(String json) {
    return json.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026");
  }
}
