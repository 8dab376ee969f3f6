package org.moe4j.cli;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.moe4j.ListedSystem;
import org.moe4j.RouterEntry;
import org.moe4j.Taxonomy;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * One {@code --where}: a dimension of the taxonomy, {@code state} or {@code causal}, and the word
 * that must be among its values.
 */
record Condition(String key, String word) {
  private static final String STATE = "state";
  private static final String CAUSAL = "causal";

  /** Reads {@code chooser=expert}. */
  static final class Reader implements ITypeConverter<Condition> {
    @Override
    public Condition convert(String text) {
      int at = text.indexOf('=');
      if (at < 0) {
        throw new TypeConversionException(
            "'" + text + "' is not KEY=VALUE, for example chooser=expert");
      }
      String key = text.substring(0, at).strip();
      String word = text.substring(at + 1).strip();
      Map<String, List<String>> words = words();
      if (!words.containsKey(key)) {
        throw new TypeConversionException(
            "no key '" + key + "'; use one of " + String.join(", ", words.keySet()));
      }
      List<String> known = words.getOrDefault(key, List.of());
      if (!known.contains(word)) {
        throw new TypeConversionException(
            key + " has no value '" + word + "'; use one of " + String.join(", ", known));
      }
      return new Condition(key, word);
    }
  }

  private static Map<String, List<String>> words() {
    Map<String, List<String>> words = new LinkedHashMap<>(Taxonomy.WORDS);
    words.put(STATE, List.of("built", "planned"));
    words.put(CAUSAL, List.of("yes", "no"));
    return words;
  }

  boolean holds(ListedSystem s) {
    return holds(s.taxonomy(), s.state(), s.causal());
  }

  boolean holds(RouterEntry r) {
    return holds(r.taxonomy(), ListedSystem.State.BUILT, r.causality().decodes());
  }

  private boolean holds(Taxonomy taxonomy, ListedSystem.State state, boolean causal) {
    return switch (key) {
      case STATE -> state.label().equals(word);
      case CAUSAL -> Causal.yesOrNo(causal).equals(word);
      default ->
          Arrays.asList(taxonomy.values().getOrDefault(key, "").split(" \\+ ", -1)).contains(word);
    };
  }
}
