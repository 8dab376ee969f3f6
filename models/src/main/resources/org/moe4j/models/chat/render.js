/* What the Java side calls. */
function parsedTemplate(source) {
  return new Template(source).parsed;
}

/** variables: names and runtime values in turn; now(format): the time as text. */
function rendered(parsed, variables, now) {
  var environment = new Environment();
  setupGlobals(environment);
  environment.setVariable('raise_exception', new FunctionValue(function (args) {
    throw new Error(str(args[0]));
  }));
  environment.setVariable('strftime_now', new FunctionValue(function (args) {
    return new StringValue(String(now(str(args[0]))));
  }));
  for (var i = 0; i < variables.length; i += 2) {
    environment.setVariable(variables[i], variables[i + 1]);
  }
  return limited(new Interpreter(environment).run(parsed).value);
}

function mapping(entries) {
  var map = new Map();
  for (var i = 0; i < entries.length; i += 2) {
    map.set(entries[i], entries[i + 1]);
  }
  return new ObjectValue(map);
}

var KINDS = {
  none: NullValue,
  text: StringValue,
  flag: BooleanValue,
  whole: IntegerValue,
  real: FloatValue,
  list: ArrayValue
};

function pythonValue(kind, value) {
  return new KINDS[kind](value);
}
