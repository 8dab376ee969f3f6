package org.moe4j.models.chat;

import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.MoeException;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The chat template of a checkpoint: it turns messages into the text that the model was trained on,
 * character for character as {@code apply_chat_template} of transformers does.
 *
 * <p>The template is the file {@code chat_template.jinja} or else the field {@code chat_template}
 * of {@code tokenizer_config.json}, a text or a list of named texts. It sees the special tokens of
 * {@code tokenizer_config.json} as {@code bos_token}, {@code eos_token} and so on.
 */
public final class ChatTemplate {
  private static final String FILE = "chat_template.jinja";
  private static final String CONFIG = "tokenizer_config.json";
  private static final String FIELD = "chat_template";
  private static final String DEFAULT = "default";
  private static final String WITH_TOOLS = "tool_use";
  private static final String TOOLS = "tools";
  private static final long LARGEST = 64 << 20;
  private static final int LONGEST = 1 << 18;
  private static final JsonMapper MAPPER = new JsonMapper();

  private final Map<String, Named> templates;
  private final Map<String, String> specialTokens;
  private final Clock clock;

  private record Named(String origin, Jinja template) {}

  private ChatTemplate(
      Map<String, Named> templates, Map<String, String> specialTokens, Clock clock) {
    this.templates = templates;
    this.specialTokens = specialTokens;
    this.clock = clock;
  }

  /**
   * Reads the templates of a checkpoint folder; templates that show the date use the local time.
   *
   * @throws MoeException if there is none, or with the file if one is not valid
   */
  public static ChatTemplate read(Path folder) {
    return read(folder, Clock.system(ZoneId.systemDefault()));
  }

  /** As {@link #read(Path)}, with the clock that templates see. */
  public static ChatTemplate read(Path folder, Clock clock) {
    Path config = folder.resolve(CONFIG);
    JsonNode root = Files.isRegularFile(config) ? json(config) : MAPPER.createObjectNode();
    Map<String, Named> templates = new LinkedHashMap<>();
    Path file = folder.resolve(FILE);
    JsonNode field = root.path(FIELD);
    if (Files.isRegularFile(file)) {
      templates.put(DEFAULT, parsed(file.toString(), text(file)));
    } else if (field.isString()) {
      templates.put(DEFAULT, parsed(config + ": " + FIELD, field.stringValue()));
    } else if (field.isArray()) {
      for (JsonNode one : field) {
        if (!one.path("name").isString() || !one.path("template").isString()) {
          throw new MoeException(config + ": " + FIELD + ": each needs a name and a template");
        }
        String name = one.path("name").stringValue();
        String origin = config + ": " + FIELD + " '" + name + "'";
        templates.put(name, parsed(origin, one.path("template").stringValue()));
      }
    }
    if (templates.isEmpty()) {
      throw new MoeException(
          folder + " has no chat template: neither " + FILE + " nor " + FIELD + " in " + CONFIG);
    }
    return new ChatTemplate(templates, specialTokens(root), clock);
  }

  /**
   * A template that stands elsewhere, for instance in the metadata of a GGUF file.
   *
   * @param origin where, for messages
   * @param specialTokens what templates see as {@code bos_token} and so on
   * @param clock that templates see
   * @throws MoeException if it is not valid
   */
  public static ChatTemplate of(
      String origin, String source, Map<String, String> specialTokens, Clock clock) {
    return new ChatTemplate(
        Map.of(DEFAULT, parsed(origin, source)), Map.copyOf(specialTokens), clock);
  }

  private static Map<String, String> specialTokens(JsonNode root) {
    Map<String, String> tokens = new HashMap<>();
    for (Map.Entry<String, JsonNode> entry : root.properties()) {
      JsonNode value = entry.getValue();
      JsonNode content = value.isObject() ? value.path("content") : value;
      if (entry.getKey().endsWith("_token") && content.isString()) {
        tokens.put(entry.getKey(), content.stringValue());
      }
    }
    return tokens;
  }

  /** The templates' names; a single one is {@code default}. */
  public Set<String> names() {
    return Set.copyOf(templates.keySet());
  }

  /**
   * The template of this name alone.
   *
   * @throws MoeException if there is no such template
   */
  public ChatTemplate named(String name) {
    Named template = templates.get(name);
    if (template == null) {
      throw new MoeException(
          "no chat template '" + name + "': there are " + String.join(", ", templates.keySet()));
    }
    return new ChatTemplate(Map.of(DEFAULT, template), specialTokens, clock);
  }

  /** As {@link #render(List, boolean, Map)} without further variables. */
  public String render(
      List<? extends Map<String, ? extends @Nullable Object>> messages,
      boolean addGenerationPrompt) {
    return render(messages, addGenerationPrompt, Map.of());
  }

  /**
   * The text of a conversation. Of several templates it takes {@code tool_use} if there are tools,
   * else {@code default}.
   *
   * @param messages each with {@code role}, {@code content} and whatever else the template reads,
   *     as plain data: strings, numbers, flags, nulls, lists and maps
   * @param addGenerationPrompt whether the text ends where the assistant's answer begins
   * @param variables {@code tools}, {@code documents} and what else the template reads; they hide
   *     special tokens of the same name
   * @throws MoeException with the template's file: with its own words if it refuses the messages,
   *     or if it fails, or takes more steps or memory than a template needs
   */
  public String render(
      List<? extends Map<String, ? extends @Nullable Object>> messages,
      boolean addGenerationPrompt,
      Map<String, ? extends @Nullable Object> variables) {
    Map<String, @Nullable Object> all = new HashMap<>(specialTokens);
    all.put(TOOLS, null);
    all.put("documents", null);
    all.putAll(variables);
    all.put("messages", messages);
    all.put("add_generation_prompt", addGenerationPrompt);
    boolean withTools = all.get(TOOLS) != null && templates.containsKey(WITH_TOOLS);
    Named chosen = templates.get(withTools ? WITH_TOOLS : DEFAULT);
    if (chosen == null) {
      throw new MoeException(
          "no default chat template: choose one of " + String.join(", ", templates.keySet()));
    }
    return located(
        chosen.origin(),
        () ->
            chosen
                .template()
                .render(all, format -> Strftime.text(LocalDateTime.now(clock), format)));
  }

  private static Named parsed(String origin, String source) {
    if (source.length() > LONGEST) {
      throw new MoeException(origin + ": over the limit of " + LONGEST + " characters");
    }
    return new Named(origin, located(origin, () -> Jinja.parse(source)));
  }

  private static <T> T located(String origin, Supplier<T> work) {
    try {
      return work.get();
    } catch (MoeException e) {
      throw new MoeException(origin + ": " + e.getMessage().replaceAll("\\p{Cntrl}+", " "), e);
    }
  }

  private static JsonNode json(Path path) {
    try {
      JsonNode root = MAPPER.readTree(text(path));
      if (root.isObject()) {
        return root;
      }
    } catch (JacksonException e) {
      String why = String.valueOf(e.getOriginalMessage()).lines().findFirst().orElse("unreadable");
      throw new MoeException(path + ": not valid JSON: " + why, e);
    }
    throw new MoeException(path + ": must be a JSON object");
  }

  private static String text(Path path) {
    try {
      if (Files.size(path) > LARGEST) {
        throw new MoeException(path + ": over the limit of " + LARGEST + " bytes");
      }
      return Files.readString(path);
    } catch (CharacterCodingException e) {
      throw new MoeException(path + ": not UTF-8 text", e);
    } catch (IOException e) {
      throw new MoeException("cannot read " + path + ": " + e, e);
    }
  }
}
