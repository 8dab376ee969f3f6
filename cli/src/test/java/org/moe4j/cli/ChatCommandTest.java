package org.moe4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.cli.TrainCommandTest.Run;
import org.moe4j.models.Sampling;
import org.moe4j.tensor.Device;
import org.moe4j.train.Chat;
import org.moe4j.train.LanguageModel;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Chat and logits of a model trained for the test, with a chat template put beside it. */
class ChatCommandTest {
  private static final String TEMPLATE =
      "{% for m in messages %}{% if m.role == 'system' and m.content == 'no' %}"
          + "{{ raise_exception('no system') }}{% endif %}{{ m.role }}: {{ m.content }}\n"
          + "{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";

  @TempDir static Path folder;
  private static Path model;

  @BeforeAll
  static void train() throws IOException {
    TrainCommandTest.corpus(folder);
    String[] args = TrainCommandTest.tiny(folder, "--set", "data.sequence-length=256");
    assertThat(TrainCommandTest.moe(args).status()).isZero();
    model = folder.resolve("runs/tiny/model");
    Files.writeString(model.resolve("chat_template.jinja"), TEMPLATE);
  }

  private static Run chat(String input, String... more) {
    InputStream before = System.in;
    System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
    try {
      String[] args = {"chat", model.toString(), "--max-tokens", "8"};
      String[] all = Arrays.copyOf(args, args.length + more.length);
      System.arraycopy(more, 0, all, args.length, more.length);
      return TrainCommandTest.moe(all);
    } finally {
      System.setIn(before);
    }
  }

  @Test
  void everyLineIsAnswered() {
    Run two = chat("thing 5\n\n/help é\n");
    assertThat(two.status()).as(two.err()).isZero();
    assertThat(two.err()).isEmpty();
    assertThat(chat("thing 5\n\n/help é\n")).isEqualTo(two);
    Run one = chat("thing 5\n");
    assertThat(two.out()).startsWith(one.out());
    assertThat(two.out().length()).isGreaterThan(one.out().length());
  }

  @Test
  void failuresAreOneLine() {
    Run refused = chat("thing\n", "--system", "no");
    assertThat(refused.status()).isEqualTo(Moe.FAILED);
    assertThat(refused.err())
        .isEqualTo("moe: " + model.resolve("chat_template.jinja") + ": no system\n");
    Run long_ = chat("thing ".repeat(5000) + "\n");
    assertThat(long_.err()).contains("the conversation has").contains("/reset");
    Run dtype = chat("", "--dtype", "fp64");
    assertThat(dtype.status()).isEqualTo(Moe.WRONG_USAGE);
    assertThat(dtype.err()).contains("neither fp32 nor bf16").hasLineCount(1);
    Run none = TrainCommandTest.moe("chat", folder.resolve("runs").toString());
    assertThat(none.err()).startsWith("moe: ").hasLineCount(1);
  }

  /** Someone at a terminal who presses Ctrl-C at once where a line begins with "stop". */
  private static final class Typed implements ChatLines {
    private final Deque<String> lines;
    private String last = "";

    Typed(String... lines) {
      this.lines = new ArrayDeque<>(List.of(lines));
    }

    @Override
    public Optional<String> next() {
      Optional<String> line = Optional.ofNullable(lines.poll());
      line.ifPresent(text -> last = text);
      return line;
    }

    @Override
    public boolean interactive() {
      return true;
    }

    @Override
    public Watch onInterrupt(Runnable stop) {
      if (last.startsWith("stop")) {
        stop.run();
      }
      return () -> {};
    }

    @Override
    public void close() {}
  }

  private static Run typed(String... lines) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    LanguageModel language = LanguageModel.open(model, Device.CPU);
    Chat conversation = new Chat(language, Chat.template(model), Optional.empty());
    try (Conversation chat = new FolderConversation(conversation, Sampling.at(1, 5), 8);
        ChatLines input = new Typed(lines)) {
      PrintWriter answers = new PrintWriter(out);
      int status = new ChatLoop(chat, input, answers, new PrintWriter(err, true), 8).run();
      return new Run(status, out.toString(), err.toString());
    }
  }

  @Test
  void commandsAreFollowed() {
    String answer = typed("thing 5").out();
    assertThat(typed("thing 5", "/exit", "never").out()).isEqualTo(answer);
    assertThat(typed("thing 5", "/reset", "thing 5").out()).isEqualTo(answer + answer);
    assertThat(typed("/system be brief", "/system", "thing 5").out()).isEqualTo(answer);
    assertThat(typed("/help").out()).contains("/reset", "/system", "/exit", "Ctrl-C");
    assertThat(typed("/nosuch").out()).contains("unknown command /nosuch");
  }

  @Test
  void aFailedQuestionAndAStoppedAnswerDoNotEnd() {
    Run run = typed("/system no", "thing 5", "/system", "thing 5");
    assertThat(run.err()).endsWith(": no system\n").hasLineCount(1);
    assertThat(run.out()).isEqualTo(typed("thing 5").out());
    Run stopped = typed("stop 5", "thing 5");
    assertThat(stopped.status()).isZero();
    assertThat(stopped.out().lines().count()).isGreaterThanOrEqualTo(2);
  }

  @Test
  void logitsAreThoseThatGenerateFollows() {
    String path = model.toString();
    Run json = TrainCommandTest.moe("logits", path, "--ids", "1,5,7", "--json");
    assertThat(json.status()).as(json.err()).isZero();
    JsonNode rows = new JsonMapper().readTree(json.out()).path("logits");
    assertThat(rows.size()).isEqualTo(3);
    int best = 0;
    for (int v = 0; v < rows.get(2).size(); v++) {
      best = rows.get(2).get(v).doubleValue() > rows.get(2).get(best).doubleValue() ? v : best;
    }
    Run table = TrainCommandTest.moe("logits", path, "--ids", "1,5,7");
    String last = table.out().lines().toList().getLast();
    assertThat(last.strip()).startsWith("2").contains("7 '");
    assertThat(table.out()).contains(best + " '");
    Run rough = TrainCommandTest.moe("logits", path, "--ids", "1,5,7", "--dtype", "bf16", "--json");
    JsonNode near = new JsonMapper().readTree(rough.out()).path("logits").get(2);
    for (int v = 0; v < near.size(); v++) {
      double exact = rows.get(2).get(v).doubleValue();
      assertThat(near.get(v).doubleValue()).isBetween(exact - 0.2, exact + 0.2);
    }
    assertThat(near).isNotEqualTo(rows.get(2));
    assertThat(TrainCommandTest.moe("logits", path, "--ids", "1,99999").err())
        .isEqualTo("moe: token id 99999 is not in the vocabulary of " + near.size() + "\n");
    assertThat(TrainCommandTest.moe("logits", path, "--ids", "1", "--decoder-ids", "0,4").err())
        .contains("--decoder-ids")
        .hasLineCount(1);
  }
}
