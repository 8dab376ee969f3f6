package org.moe4j.cli;

import java.nio.file.Path;
import java.time.Clock;
import java.time.ZoneId;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import org.moe4j.engine.Completion;
import org.moe4j.engine.Engine;
import org.moe4j.engine.Sampling;
import org.moe4j.engine.gguf.Metadata;
import org.moe4j.engine.text.Tokenizer;
import org.moe4j.models.chat.ChatTemplate;
import org.moe4j.tensor.MoeException;

/** A conversation with a GGUF file, in the form of the chat template in its metadata. */
final class GgufConversation implements Conversation {
  private static final String TEMPLATE = "tokenizer.chat_template";

  private final Engine engine;
  private final ChatTemplate template;
  private final Sampling how;
  private final List<Map<String, String>> turns = new ArrayList<>();
  private Optional<String> system;

  private GgufConversation(
      Engine engine, ChatTemplate template, Sampling how, Optional<String> system) {
    this.engine = engine;
    this.template = template;
    this.how = how;
    this.system = system;
  }

  static GgufConversation open(
      Path model, EngineFlags flags, Optional<String> system, Sampling how) {
    Engine engine = flags.openKeeping(model);
    try {
      return new GgufConversation(engine, template(model, engine), how, system);
    } catch (RuntimeException e) {
      engine.close();
      throw e;
    }
  }

  private static ChatTemplate template(Path model, Engine engine) {
    Metadata metadata = engine.metadata();
    String source =
        metadata
            .text(TEMPLATE)
            .orElseThrow(
                () ->
                    new MoeException(
                        model
                            + ": there is no chat template ("
                            + TEMPLATE
                            + ") in its metadata; moe generate continues a text without one"));
    Tokenizer tokenizer = engine.tokenizer();
    Map<String, String> special = new HashMap<>();
    put(special, "bos_token", tokenizer.bos(), tokenizer);
    put(special, "eos_token", tokenizer.eos(), tokenizer);
    return ChatTemplate.of(
        model + ": " + TEMPLATE, source, special, Clock.system(ZoneId.systemDefault()));
  }

  private static void put(
      Map<String, String> special, String name, OptionalInt id, Tokenizer tokenizer) {
    id.ifPresent(token -> special.put(name, tokenizer.spell(token)));
  }

  @Override
  public Optional<String> system() {
    return system;
  }

  @Override
  public void reset(Optional<String> other) {
    system = other;
    turns.clear();
  }

  @Override
  public boolean ask(String question, Consumer<String> onText, BooleanSupplier goesOn) {
    List<Map<String, String>> messages = new ArrayList<>();
    system.ifPresent(text -> messages.add(message("system", text)));
    messages.addAll(turns);
    messages.add(message("user", question));
    int[] ids = engine.tokenizer().encodePrompt(template.render(messages, true));
    int most = engine.shape().context();
    if (ids.length > most) {
      throw new MoeException(
          "the conversation has "
              + ids.length
              + " tokens, the model takes "
              + most
              + "; /reset begins a new one");
    }
    // Each answer draws anew, and the same questions draw the same.
    Completion answer =
        engine.continueText(
            ids,
            how.withSeed(how.seed() + turns.size() / 2),
            part -> {
              onText.accept(part);
              return goesOn.getAsBoolean();
            });
    turns.add(message("user", question));
    turns.add(message("assistant", answer.text()));
    return answer.finish() == Completion.Finish.LENGTH && answer.tokens().length == how.tokens();
  }

  private static Map<String, String> message(String role, String content) {
    return Map.of("role", role, "content", content);
  }

  @Override
  public void close() {
    engine.close();
  }
}
