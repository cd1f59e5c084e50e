# Sets the password of the account `name`.

Account.find_local!(values['name']).user.change_password!(values['password'])
