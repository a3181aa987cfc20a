/* The API reference. Its validator badge would ask a server on the internet, so it is off. */

window.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  validatorUrl: null,
});
