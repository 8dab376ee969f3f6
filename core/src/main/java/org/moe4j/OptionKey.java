package org.moe4j;

import java.util.List;

/**
 * One documented option of a router.
 *
 * @param key the word in configuration files
 * @param standard the default: a String, a Double, a Long or a Boolean, which also fixes the type
 * @param values the words a String may be; empty for any
 * @param doc one line
 */
public record OptionKey(String key, Object standard, List<String> values, String doc) {
  /** A number. */
  public static OptionKey number(String key, double standard, String doc) {
    return new OptionKey(key, standard, List.of(), doc);
  }

  /** A whole number. */
  public static OptionKey whole(String key, long standard, String doc) {
    return new OptionKey(key, standard, List.of(), doc);
  }

  /** True or false. */
  public static OptionKey flag(String key, boolean standard, String doc) {
    return new OptionKey(key, standard, List.of(), doc);
  }

  /** One of some words. */
  public static OptionKey word(String key, String standard, List<String> values, String doc) {
    return new OptionKey(key, standard, values, doc);
  }
}
